//! Links with a delay: TCP connections are forwarded, and every byte arrives a fixed time later
//! than it was sent. Bandwidth is not limited.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// One way, milliseconds
    #[arg(long)]
    delay_ms: f64,
    /// LISTEN=TARGET, such as 127.0.0.1:9001=127.0.0.1:8443; once a target
    #[arg(long = "forward", required = true, value_parser = forward)]
    forwards: Vec<(SocketAddr, SocketAddr)>,
}

fn forward(text: &str) -> Result<(SocketAddr, SocketAddr), String> {
    let (listen, target) = text.split_once('=').ok_or("it is not LISTEN=TARGET")?;
    let address = |text: &str| text.parse::<SocketAddr>().map_err(|e| format!("{text}: {e}"));
    Ok((address(listen)?, address(target)?))
}

/// Runs until it is killed.
pub fn run(args: &Args) -> std::io::Result<()> {
    let delay = Duration::from_secs_f64(args.delay_ms / 1e3);
    let listeners: Vec<_> = args
        .forwards
        .iter()
        .map(|(listen, target)| Ok((TcpListener::bind(listen)?, *target)))
        .collect::<std::io::Result<_>>()?;

    println!("{}", serde_json::json!({"delay_ms": args.delay_ms, "listening": listeners.len()}));
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|(listener, target)| std::thread::spawn(move || accept(&listener, target, delay)))
        .collect();
    threads.into_iter().try_for_each(|thread| {
        thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a relay's thread ended")))
    })
}

fn accept(listener: &TcpListener, target: SocketAddr, delay: Duration) -> std::io::Result<()> {
    loop {
        let (near, _) = listener.accept()?;
        // a target that does not listen yet: the connection is closed, the peer dials again
        let Ok(far) = TcpStream::connect(target) else { continue };
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        pipe(near.try_clone()?, far.try_clone()?, delay);
        pipe(far, near, delay);
    }
}

/// One direction: what was read goes, with the time it is due, to a thread that waits for that
/// time.
fn pipe(from: TcpStream, to: TcpStream, delay: Duration) {
    let (sender, receiver) = channel();
    std::thread::spawn(move || read(from, &sender, delay));
    std::thread::spawn(move || write(to, &receiver));
}

fn read(mut from: TcpStream, sender: &Sender<(Instant, Vec<u8>)>, delay: Duration) {
    let mut chunk = vec![0; 256 << 10];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        if sender.send((Instant::now() + delay, chunk[..n].to_vec())).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
}

fn write(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>) {
    // a late wake-up would count as delay
    let _ = nix::sys::prctl::set_timerslack(1);
    while let Ok((due, bytes)) = receiver.recv() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // the other side's end comes here only when everything before it has gone
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("address");
        std::thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                std::thread::spawn(move || {
                    std::io::copy(&mut socket.try_clone().expect("cloned"), &mut socket)
                });
            }
        });
        address
    }

    #[test]
    fn every_byte_arrives_in_order_and_late_and_the_delay_does_not_add_up() {
        let target = echo();
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("address");
        let delay = Duration::from_millis(100);
        std::thread::spawn(move || accept(&listener, target, delay));
        let mut socket = TcpStream::connect(address).expect("connected");
        let sent: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
        let begin = Instant::now();
        for part in sent.chunks(100_000) {
            socket.write_all(part).expect("sent");
        }
        let mut got = vec![0; sent.len()];
        socket.read_exact(&mut got).expect("received");
        let took = begin.elapsed();
        assert!(got == sent);
        // eleven parts, there and back: one after the other they would take 22 delays
        assert!(took >= 2 * delay && took < 11 * delay, "{took:?}");
        // the end of the stream passes as well
        socket.shutdown(Shutdown::Write).expect("shut down");
        assert_eq!(socket.read(&mut got).expect("end"), 0);
    }
}
