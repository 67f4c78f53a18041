//! One link over loopback: large frames both ways at once, deadlines, and its end.

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};
use securemodel_player::counters::Counters;
use securemodel_player::mpc::ChannelError;
use securemodel_player::net::frame::{Frame, Header, Kind};
use securemodel_player::net::link::{Link, Listener};
use securemodel_player::net::tls::Tls;
use securemodel_player::role::Role;
use support::Authority;

#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Listener for Recorder {
    fn control(&self, _: &Arc<Link>, frame: Frame) -> Result<(), String> {
        self.0.lock().expect("whole").push(format!("{:?}", frame.header.kind));
        Ok(())
    }

    fn lost(&self, _: &Arc<Link>, why: &str) {
        self.0.lock().expect("whole").push(why.into());
    }
}

/// alice's and bob's end; bob dialed.
fn linked(limit: usize) -> [(Arc<Link>, Arc<Recorder>); 2] {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new();
    let [alice, bob] = ["alice", "bob"].map(|role| {
        authority.issue(role, &folder.path().join(role));
        Tls::load(&folder.path().join(role)).expect("TLS files")
    });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dialing = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let accepted = listener.accept().expect("accepted").0;
    let client = ClientConnection::new(bob.dialer.clone(), ServerName::try_from("localhost").expect("a name")).expect("TLS");
    let server = ServerConnection::new(alice.server.clone()).expect("TLS");
    let link = |peer, mut tls: Connection, mut socket: TcpStream, certificates: [Vec<u8>; 2]| {
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).expect("a handshake");
        }
        let link = Link::new(peer, tls, socket, [Role::Bob, Role::Alice], certificates.each_ref().map(|c| &c[..]), Arc::new(Counters::default()));
        let (link, recorder) = (link.expect("a link"), Arc::new(Recorder::default()));
        link.start(limit, recorder.clone());
        (link, recorder)
    };
    let certificates = [bob.certificate.to_vec(), alice.certificate.to_vec()];
    std::thread::scope(|scope| {
        let same = certificates.clone();
        let bobs = scope.spawn(move || link(Role::Alice, client.into(), dialing, same));
        [link(Role::Bob, server.into(), accepted, certificates), bobs.join().expect("linked")]
    })
}

fn data(batch: u64) -> Header {
    Header { batch, ..Header::control(Kind::Data) }
}

#[test]
fn both_ends_have_one_secret() {
    let [(alice, _), (bob, _)] = linked(0);
    assert_eq!(alice.id, bob.id);
    assert_eq!(alice.secret.confirmation(&[0; 16], Role::Bob), bob.secret.confirmation(&[0; 16], Role::Bob));
    let [(other, _), _] = linked(0);
    assert_ne!(alice.id, other.id);
}

#[test]
fn both_ends_send_large_frames_at_once() {
    const SIZE: usize = 64 << 20; // far more than the sockets hold
    let ends = linked(SIZE);
    std::thread::scope(|scope| {
        for (link, _) in &ends {
            scope.spawn(|| {
                let payload = vec![link.peer as u8; SIZE];
                for batch in 0..2 {
                    link.send(&data(batch), &payload).expect("sent");
                    let frame = link.recv().expect("received");
                    assert_eq!((frame.header, frame.payload.len()), (data(batch), SIZE));
                }
            });
        }
    });
}

#[test]
fn a_silent_peer_is_noticed_and_control_frames_are_not_progress() {
    let [(alice, _), (bob, _)] = linked(8);
    let begin = Instant::now();
    let chatter = std::thread::spawn(move || {
        while begin.elapsed() < Duration::from_secs(6) {
            let _ = bob.send(&Header::control(Kind::Waiting), &[]);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert!(matches!(alice.recv(), Err(ChannelError::Stalled(Role::Bob))));
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    chatter.join().expect("ended");
}

#[test]
fn a_closed_link_is_lost_at_once_and_says_so_once() {
    let [(alice, heard), (bob, _)] = linked(8);
    bob.send(&data(1), b"last").expect("sent");
    bob.close();
    assert_eq!(alice.recv().expect("what came before the end").payload, b"last");
    let begin = Instant::now();
    assert!(matches!(alice.recv(), Err(ChannelError::Lost(Role::Bob))));
    assert!(begin.elapsed() < Duration::from_secs(1));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(*heard.0.lock().expect("whole"), ["closed by the peer"]);
}

#[test]
fn a_frame_longer_than_the_program_needs_closes_the_link() {
    let [(alice, heard), (bob, _)] = linked(8);
    bob.send(&data(1), &[0; 9]).expect("sent");
    assert!(matches!(alice.recv(), Err(ChannelError::Lost(Role::Bob))));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(*heard.0.lock().expect("whole"), ["a Data frame of 9 bytes; at most 8 can be needed"]);
}
