//! The server does what its replies say.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use infrahub_sync_test_server::{Answer, Reply, Server};

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url().trim_start_matches("http://")).unwrap()
}

/// Sends a request on a new connection and reads all that comes back.
fn ask(server: &Server, request: &str) -> std::io::Result<String> {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_request_arrives_whole_and_connections_are_kept() {
    let server = Server::start(|request| {
        let text = format!("{} {} {}", request.number, request.header("x-y"), request.text());
        let answer = Answer::json(text);
        if request.path() == "/last" { answer.close() } else { answer }.into()
    });
    let two = "POST /first?b=c HTTP/1.1\r\nX-Y: z\r\nContent-Length: 4\r\n\r\nbodyGET /last HTTP/1.1\r\n\r\n";
    let text = ask(&server, two).unwrap();
    let one = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n0 z body";
    let other = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 3\r\n\r\n1  ";
    assert_eq!(text, [one, other].concat());
    assert_eq!((server.count(), server.connections()), (2, 1));
    let seen = server.take();
    assert_eq!((seen[0].method.as_str(), seen[0].query("b"), seen[1].query("b")), ("POST", Some("c"), None));
    assert_eq!(seen[1].raw(), "GET /last HTTP/1.1\r\n\r\n");
    assert!(server.seen().is_empty() && server.count() == 2);
}

#[test]
fn a_script_is_followed_to_its_end() {
    let server = Server::script([
        Answer::ok("whole").cut(2),
        Reply::raw("nonsense"),
        Reply::Close,
        Reply::Write(Box::new(|stream| stream.write_all(b"written"))),
    ]);
    assert_eq!(ask(&server, GET).unwrap(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwh");
    assert_eq!(ask(&server, GET).unwrap(), "nonsense");
    assert_eq!(ask(&server, GET).unwrap(), "");
    assert_eq!(ask(&server, GET).unwrap(), "written");
    let mut over = connect(&server);
    over.write_all(GET.as_bytes()).unwrap();
    let mut start = [0; 12];
    over.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 500");
}

#[test]
fn a_reset_is_no_end() {
    let server = Server::script([Reply::Reset]);
    assert_eq!(ask(&server, GET).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn the_port_is_free_when_the_server_has_gone() {
    let server = Server::start(|_| Reply::Silence);
    let address = server.url().trim_start_matches("http://").to_owned();
    drop(server);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}
