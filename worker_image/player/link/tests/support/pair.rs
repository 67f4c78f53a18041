//! Two ends of one link in this process, over loopback, with real certificates.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};
use securemodel_link::frame::{Frame, Header, Kind};
use securemodel_link::link::{Fault, Link, Owner, DEADLINE};
use securemodel_link::tls::Tls;
use securemodel_link::traffic::Traffic;
use securemodel_mpc::role::Role;
use tempfile::TempDir;

use super::Authority;

/// Notes what a link tells its owner.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn note(&self, what: &str) {
        self.0.lock().expect("whole").push(what.into());
    }

    pub fn heard(&self) -> Vec<String> {
        self.0.lock().expect("whole").clone()
    }

    /// Waits until something was heard, at most 2 s; how long it took.
    pub fn wait_for(&self, what: &str) -> Duration {
        let begin = Instant::now();
        while !self.heard().iter().any(|heard| heard == what) {
            assert!(
                begin.elapsed() < Duration::from_secs(2),
                "{:?} instead of {what:?}",
                self.heard()
            );
            std::thread::sleep(Duration::from_micros(100));
        }
        begin.elapsed()
    }
}

impl Owner for Recorder {
    fn control(&self, _: &Arc<Link>, frame: &Frame) -> Result<(), String> {
        self.note(&format!("{:?}", frame.header.kind));
        Ok(())
    }

    fn early(&self, _: &Arc<Link>) -> Result<(), String> {
        Ok(())
    }

    fn lost(&self, _: &Arc<Link>, fault: &Fault) {
        self.note(&fault.to_string());
    }
}

/// Makes links.
pub struct Exchange {
    folder: TempDir,
    authority: Authority,
    /// How long a peer may compute.
    pub silence: Duration,
}

/// One end of a link and what its owner heard.
pub struct End {
    pub link: Arc<Link>,
    pub owner: Arc<Recorder>,
}

/// A finished handshake: alice's or bob's or carol's side.
pub struct Side {
    pub tls: Connection,
    pub socket: TcpStream,
}

impl Exchange {
    pub fn new() -> Exchange {
        let (folder, authority) = (tempfile::tempdir().expect("folder"), Authority::new());
        Exchange { folder, authority, silence: DEADLINE }
    }

    fn tls(&self, role: Role) -> Tls {
        let folder: PathBuf = self.folder.path().join(role.as_str());
        self.authority.issue(role.as_str(), &folder);
        Tls::load(&folder).expect("TLS files")
    }

    /// Both sides of a connection and the two certificates, the dialer's first.
    fn connect(&self, dialer: Role, listener: Role) -> ([Side; 2], [Vec<u8>; 2]) {
        let (dials, accepts) = (self.tls(dialer), self.tls(listener));
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        let dialing = TcpStream::connect(port.local_addr().expect("bound")).expect("connected");
        let accepted = port.accept().expect("accepted").0;
        let client =
            ClientConnection::new(dials.dialer, ServerName::try_from("localhost").expect("a name"))
                .expect("TLS");
        let server = ServerConnection::new(accepts.server).expect("TLS");
        let mut sides = [
            Side { tls: client.into(), socket: dialing },
            Side { tls: server.into(), socket: accepted },
        ];
        std::thread::scope(|scope| {
            for Side { tls, socket } in &mut sides {
                scope.spawn(move || {
                    while tls.is_handshaking() {
                        tls.complete_io(socket).expect("a handshake");
                    }
                });
            }
        });
        (sides, [dials.certificate.to_vec(), accepts.certificate.to_vec()])
    }

    /// The two ends of a new link, the dialer's first. `limit`: the longest DATA payload.
    pub fn link(&self, dialer: Role, listener: Role, limit: usize) -> [End; 2] {
        let (sides, certificates) = self.connect(dialer, listener);
        let mut peers = [listener, dialer].into_iter();
        sides.map(|Side { tls, socket }| {
            let peer = peers.next().expect("two");
            let link = Link::new(
                peer,
                tls,
                socket,
                [dialer, listener],
                certificates.each_ref().map(|c| &c[..]),
                Arc::default(),
            )
            .expect("a link");
            let owner = Arc::new(Recorder::default());
            link.start(limit, self.silence, owner.clone());
            End { link, owner }
        })
    }

    /// A link whose listener's end is only TLS: a peer that says what a test wants.
    pub fn half(&self, dialer: Role, listener: Role, limit: usize) -> (End, Side) {
        let ([Side { tls, socket }, other], certificates) = self.connect(dialer, listener);
        let traffic = Arc::new(Traffic::default());
        let link = Link::new(
            listener,
            tls,
            socket,
            [dialer, listener],
            certificates.each_ref().map(|c| &c[..]),
            traffic,
        )
        .expect("a link");
        let owner = Arc::new(Recorder::default());
        link.start(limit, self.silence, owner.clone());
        (End { link, owner }, other)
    }
}

pub fn data(batch: u64) -> Header {
    Header { batch, ..Header::control(Kind::Data) }
}
