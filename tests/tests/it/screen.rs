//! What is on the screen while a run reads: a line for the whole, a bar for each kind, and what is waited for.

#![cfg(unix)]

use std::sync::{Arc, Condvar, Mutex};

use infrahub_sync_tests::rest::{Column, Rest, Shape, TOKEN};
use infrahub_sync_tests::terminal::Terminal;
use infrahub_sync_tests::{Project, binary};
use serde_json::{Value, json};

const LISTS: &[Shape] = &[("sites", &[("name", Column::Unique)]), ("racks", &[("name", Column::Unique)])];

/// A gate that requests wait at.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[test]
fn a_slow_server_is_awaited_with_a_bar_for_each_kind_and_a_line_for_the_whole() {
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let source = Rest::start_behind(LISTS, move |request| {
        // The only page of the racks, and the second one of the sites.
        let is_held =
            request.method == "GET" && (request.path().contains("racks") || request.query("after").is_some_and(|after| after != "0"));
        if is_held {
            held.pass();
        }
    });
    source.put("sites", &(0..10).map(|at| json!({"name": format!("s{at}")})).collect::<Vec<Value>>());
    source.put("racks", &[json!({"name": "r1"})]);
    let destination = Rest::start(LISTS);
    let side = |name: &str, rest: &Rest| {
        format!("{{name: {name}, adapter: ./rest-lists.wasm, settings: {{url: \"{}\", token: {TOKEN}}}}}", rest.url())
    };
    let project = Project::new(&format!(
        "name: slow\nsource: {}\ndestination: {}\nschema_mapping:\n  - {{name: Site, mapping: sites, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n  - {{name: Rack, mapping: racks, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n",
        side("from", &source),
        side("to", &destination)
    ));
    let guest = binary().ancestors().nth(2).unwrap().join("guests/rest-lists.wasm");
    std::fs::copy(&guest, project.path().join("rest-lists.wasm"))
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo guests`", guest.display()));

    let terminal = Terminal::start(&project.command(&["diff"]));
    let waited = "waiting for source `rest-lists`: `read ";
    let screen = terminal.wait_for(|screen| screen.contains(waited) && screen.contains("3/10 objects") && screen.contains("Rack"));
    let line = |words: &str| screen.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words} in\n{screen}"));
    // A bar for each kind: with the total that the system tells, and from the moment it is asked for.
    assert!(line("source       Site").contains("3/10 objects"), "{screen}");
    assert!(line("source       Rack").contains("0 objects"), "{screen}");
    // The whole: its time, its objects and its rate.
    let whole = line(waited);
    assert!(whole.contains("s  3 objects  ") && whole.contains("/s  "), "{screen}");
    assert!(whole.ends_with("` and 1 more"), "{screen}");

    gate.open();
    let (is_ok, last) = terminal.end();
    assert!(is_ok && last.contains("11 to create"), "{last}");
    assert!(!last.contains("waiting for") && !last.contains("source       Site"), "the bars are gone: {last}");
}
