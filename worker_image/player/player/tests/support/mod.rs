//! Three real players as processes on loopback, with certificates, shares and a client made here.

// each test file uses its part; a large error is fine here
#![allow(dead_code, unreachable_pub, clippy::result_large_err)]

pub mod client;
pub mod model;
pub mod peer;
#[path = "../../../link/tests/support/pki.rs"]
pub mod pki;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

pub use client::{get_plain, Client, Response};
pub use pki::Authority;

pub const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// Folders, ports and processes of a trio; all gone when dropped.
pub struct Trio {
    pub folder: TempDir,
    pub authority: Authority,
    pub tls: [SocketAddr; 3],
    pub health: [SocketAddr; 3],
    /// More flags of the players.
    pub flags: Vec<&'static str>,
    players: [Option<Child>; 3],
    _held: [Socket; 6],
}

impl Trio {
    /// Certificates and a cluster config; nothing runs yet.
    pub fn prepare() -> Trio {
        let folder = tempfile::tempdir().expect("folder");
        let authority = Authority::new();
        let held: [Socket; 6] = std::array::from_fn(|_| hold_port());
        let address = |i: usize| {
            held[i].local_addr().ok().and_then(|address| address.as_socket()).expect("bound")
        };
        let (tls, health) = ([0, 1, 2].map(address), [3, 4, 5].map(address));
        let cluster: Value = NAMES
            .iter()
            .zip(tls)
            .map(|(name, address)| {
                (name.to_string(), Value::from(format!("localhost:{}", address.port())))
            })
            .collect();
        fs::write(folder.path().join("cluster.json"), cluster.to_string()).expect("written");
        for name in NAMES.into_iter().chain(["share"]) {
            authority.issue(name, &folder.path().join(name));
        }
        Trio {
            folder,
            authority,
            tls,
            health,
            flags: vec![],
            players: [None, None, None],
            _held: held,
        }
    }

    pub fn start() -> Trio {
        let mut trio = Trio::prepare();
        (0..3).for_each(|i| trio.start_player(i));
        trio
    }

    /// Started, shared, serving.
    pub fn serving(generation: u8) -> Trio {
        Trio::serving_with(generation, vec![])
    }

    pub fn serving_with(generation: u8, flags: Vec<&'static str>) -> Trio {
        let mut trio = Trio::prepare();
        trio.flags = flags;
        (0..3).for_each(|i| trio.start_player(i));
        trio.deliver(generation);
        trio.wait_ready();
        trio
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn start_player(&mut self, i: usize) {
        let tls = self.path(NAMES[i]);
        self.start_with(i, &tls);
    }

    pub fn start_with(&mut self, i: usize, tls: &std::path::Path) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path(&format!("{}.log", NAMES[i])))
            .expect("log");
        let child = Command::new(env!("CARGO_BIN_EXE_securemodel-player"))
            .args(["--player", NAMES[i], "--max-rows", "8", "--log", "debug"])
            .args(&self.flags)
            .args(["--listen", &self.tls[i].to_string(), "--health", &self.health[i].to_string()])
            .arg("--cluster")
            .arg(self.path("cluster.json"))
            .arg("--tls")
            .arg(tls)
            .arg("--data")
            .arg(self.path(&format!("data-{}", NAMES[i])))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("started");
        self.players[i] = Some(child);
    }

    pub fn signal(&self, i: usize, signal: &str) {
        let pid = self.players[i].as_ref().expect("runs").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    pub fn kill(&mut self, i: usize) {
        let mut child = self.players[i].take().expect("runs");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }

    pub fn wait_exit(&mut self, i: usize, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        let mut child = self.players[i].take().expect("runs");
        loop {
            if let Some(status) = child.try_wait().expect("waited") {
                return status;
            }
            if Instant::now() > end {
                child.kill().expect("killed");
                panic!("{} did not exit within {within:?}", NAMES[i]);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self, i: usize) -> String {
        let mut text = String::new();
        let _ = fs::File::open(self.path(&format!("{}.log", NAMES[i])))
            .and_then(|mut file| file.read_to_string(&mut text));
        text
    }

    pub fn status(&self, i: usize) -> Option<Value> {
        get_plain(self.health[i], "/status")
            .and_then(|response| serde_json::from_slice(&response.body).ok())
    }

    /// Waits until the status of player `i` is as wanted, at most 15 s.
    pub fn wait(&self, i: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            let status = self.status(i);
            if let Some(status) = status.as_ref().filter(|status| wanted(status)) {
                return status.clone();
            }
            if Instant::now() > end {
                let logs: Vec<String> =
                    (0..3).map(|i| format!("--- {}\n{}", NAMES[i], self.log(i))).collect();
                panic!("{} is not {what}: {status:?}\n{}", NAMES[i], logs.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until all three serve in one epoch, and returns it.
    pub fn wait_ready(&self) -> String {
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            let epochs: Vec<String> = (0..3)
                .map(|i| {
                    self.wait(i, "ready", |s| s["ready"] == true)["epoch"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned()
                })
                .collect();
            if epochs.iter().all(|epoch| *epoch == epochs[0]) {
                return epochs[0].clone();
            }
            assert!(Instant::now() < end, "the players stay in different epochs: {epochs:?}");
        }
    }

    /// An HTTPS client without a certificate.
    pub fn client(&self, i: usize) -> Client {
        Client::new(self.tls[i], &self.authority, None)
    }

    pub fn client_as(&self, i: usize, holder: &str) -> Client {
        Client::new(self.tls[i], &self.authority, Some(&self.path(holder)))
    }

    /// Delivers fresh shares of the test model to all three, as the share step does.
    pub fn deliver(&self, generation: u8) {
        let told = self.deliver_files(model::share_files(generation));
        assert!(told.iter().all(|told| told["generation"] == hex::encode([generation; 16])));
    }

    /// Delivers each player its file; what they answer.
    pub fn deliver_files(&self, files: [Vec<u8>; 3]) -> [Value; 3] {
        let mut players = 0..3;
        files.map(|file| {
            let i = players.next().expect("three");
            let response = self.wait_for_port(i, || {
                self.client_as(i, "share").send("PUT", "/v1/shares", &[], &file)
            });
            assert_eq!(response.status, 200, "{}", response.text());
            response.json()
        })
    }

    fn wait_for_port(&self, i: usize, deliver: impl Fn() -> Option<Response>) -> Response {
        self.wait(i, "up", |_| true);
        deliver().expect("an answer")
    }

    /// A client of the model, apart from the players' lives.
    pub fn asker(&self) -> Asker {
        Asker([0, 1].map(|i| self.client(i)))
    }

    pub fn predict(&self, rows: &[[f64; 3]]) -> Result<Vec<f64>, [Value; 2]> {
        self.asker().predict(rows)
    }

    pub fn assert_predicts(&self, rows: &[[f64; 3]]) {
        let got = self.predict(rows).unwrap_or_else(|e| panic!("no prediction: {e:?}"));
        model::assert_plain(rows, &got);
    }
}

/// What a user's client does: shares the input, asks alice and bob, adds their answers.
pub struct Asker([Client; 2]);

impl Asker {
    /// One prediction of the test model for these rows; otherwise what alice and bob answered, null
    /// where there was no answer.
    pub fn predict(&self, rows: &[[f64; 3]]) -> Result<Vec<f64>, [Value; 2]> {
        let (id, shares) = (model::fresh_id(), model::share_input(rows));
        let [a, b] = std::thread::scope(|scope| {
            let ask = |i: usize| {
                let (client, id, share) = (&self.0[i], &id, &shares[i]);
                scope.spawn(move || client.infer(id, &[share.len() / 24, 3], share))
            };
            [ask(0), ask(1)]
                .map(|thread| thread.join().expect("answered").unwrap_or_else(Response::lost))
        });
        if a.status != 200 || b.status != 200 {
            return Err([a.json(), b.json()]);
        }
        let ((a, a_share), (b, b_share)) = (a.inference(), b.inference());
        for key in ["digest", "epoch", "batch"] {
            assert_eq!(a["parameters"][key], b["parameters"][key]);
        }
        assert_eq!((&a["model_version"], &a["id"]), (&b["model_version"], &b["id"]));
        Ok(a_share
            .iter()
            .zip(b_share)
            .map(|(a, b)| a.wrapping_add(b) as i64 as f64 / 65536.0)
            .collect())
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        for child in self.players.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that nobody else is given while this lives, however busy the machine is: bound, but not
/// listening, so that a player may bind it as well (SO_REUSEADDR).
fn hold_port() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    socket
}
