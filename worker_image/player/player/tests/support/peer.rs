//! A player of a trio that lives in this process: it links and agrees like the others, and then
//! says what a test wants.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::ServerConnection;

use securemodel_link::cluster::Cluster;
use securemodel_link::epoch::EpochId;
use securemodel_link::frame::{Header, Kind};
use securemodel_link::mesh::{Ending, Epoch, Mesh, Observer};
use securemodel_link::tls::Tls;
use securemodel_mpc::role::Role;
use securemodel_mpc::share_file::Shares;
use securemodel_player::model::Loaded;
use serde_json::Value;

use super::{Trio, NAMES};

/// In the place of a player that does not run; with the shares that this one left on its volume.
pub struct Peer {
    mesh: Arc<Mesh<Loaded>>,
    waiting: Receiver<Vec<u8>>,
    doors: Vec<Door>,
}

/// What a peer hears of the mesh: bob's WAITING frames, as alice.
struct Ear(Mutex<Sender<Vec<u8>>>);

impl Observer for Ear {
    fn epoch_began(&self, _: EpochId) {}

    fn epoch_ended(&self, _: &Ending) {}

    fn waiting_received(&self, payload: &[u8]) -> Result<(), String> {
        let _ = self.0.lock().expect("whole").send(payload.to_vec());
        Ok(())
    }
}

impl Peer {
    pub fn start(trio: &Trio, role: Role) -> Peer {
        let name = NAMES[role as usize];
        let tls = Arc::new(Tls::load(&trio.path(name)).expect("TLS files"));
        // it dials alice through a door of its own, which can be shut: a mesh dials for as long as
        // its process lives
        let dialed = Door::open(([127, 0, 0, 1], 0).into(), {
            let alice = trio.tls[0];
            move |socket| forward(socket, alice)
        });
        let addresses = [dialed.address, trio.tls[1], trio.tls[2]];
        let config: Value = NAMES
            .iter()
            .zip(addresses)
            .map(|(name, address)| (*name, format!("localhost:{}", address.port())))
            .collect();
        let path = trio.path("cluster-of-the-peer.json");
        fs::write(&path, config.to_string()).expect("written");
        let (says, waiting) = channel();
        let cluster = Cluster::load(&path).expect("a cluster");
        let mesh =
            Mesh::new(role, cluster, tls.clone(), Arc::default(), Arc::new(Ear(Mutex::new(says))));
        let file = fs::read(trio.path(&format!("data-{name}")).join("shares.safetensors"))
            .expect("a share file");
        mesh.set_offer(Arc::new(Loaded::new(Shares::parse(&file).expect("shares"), 8)));
        let accepting = mesh.clone();
        let door = Door::open(trio.tls[role as usize], move |mut socket| {
            let mut connection = ServerConnection::new(tls.server.clone()).expect("TLS");
            while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
            let _ = accepting.accept(connection, socket); // what is refused dials again
        });
        mesh.start();
        Peer { mesh, waiting, doors: vec![dialed, door] }
    }

    /// The shares that it linked with.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.mesh.offer().expect("given at the start")
    }

    /// The next epoch that serves, other than this one.
    pub fn epoch_after(&self, last: Option<EpochId>) -> Arc<Epoch<Loaded>> {
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            let serving = self.mesh.serving(Duration::from_millis(100)).map(|(epoch, _)| epoch);
            match serving.filter(|epoch| Some(epoch.id) != last) {
                Some(epoch) => return epoch,
                None => assert!(Instant::now() < end, "no epoch"),
            }
        }
    }

    /// Sends a frame; that a link is lost is the others' answer.
    pub fn say(epoch: &Epoch<Loaded>, to: Role, kind: Kind, batch: u64, payload: &[u8]) {
        let header = Header { batch, hop: 3, ..Header::control(kind) };
        let _ = epoch.links.send(to, &header, payload).and_then(|()| epoch.links.flush());
    }

    /// Reads until the others end this epoch; how long it took.
    pub fn until_it_ends(&self, epoch: &Epoch<Loaded>) -> Duration {
        let begin = Instant::now();
        while !epoch.links.iter().any(|link| link.is_closed()) {
            let _ = epoch.links.recv_within(epoch.links[0].peer, Duration::from_millis(20));
            assert!(begin.elapsed() < Duration::from_secs(12), "the epoch goes on");
        }
        begin.elapsed()
    }

    /// bob's next WAITING frame, as alice.
    pub fn hear(&self, epoch: &Epoch<Loaded>) -> Vec<u8> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            if let Ok(payload) = self.waiting.try_recv() {
                return payload;
            }
            assert!(Instant::now() < end, "nothing waits");
            let _ = epoch.links.recv_within(Role::Bob, Duration::from_millis(20));
        }
    }

    /// Lost for good: its links are cut and its port is free.
    pub fn leave(self) {
        drop(self.doors);
        // closes both links, even while an epoch is only forming
        if let Some(loaded) = self.mesh.offer() {
            self.mesh.set_offer(loaded);
        }
    }
}

/// A port of this process, until it is dropped.
struct Door {
    address: SocketAddr,
    shut: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(address: SocketAddr, mut serve: impl FnMut(TcpStream) + Send + 'static) -> Door {
        let listener = TcpListener::bind(address).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let (address, shut) =
            (listener.local_addr().expect("bound"), Arc::new(AtomicBool::new(false)));
        let asked = shut.clone();
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        socket.set_nonblocking(false).expect("a socket");
                        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
                        serve(socket);
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Door { address, shut, thread: Some(thread) }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a whole door");
        }
    }
}

/// Carries bytes both ways until one end is closed.
fn forward(from: TcpStream, to: SocketAddr) {
    let Ok(to) = TcpStream::connect(to) else { return };
    from.set_read_timeout(None).expect("a socket");
    for (mut source, mut sink) in [(from.try_clone(), to.try_clone()), (Ok(to), Ok(from))]
        .map(|(a, b)| (a.expect("a socket"), b.expect("a socket")))
    {
        std::thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(n @ 1..) = source.read(&mut bytes) {
                if sink.write_all(&bytes[..n]).is_err() {
                    break;
                }
            }
            let _ = (source.shutdown(Shutdown::Both), sink.shutdown(Shutdown::Both));
        });
    }
}
