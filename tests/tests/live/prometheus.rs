//! Prometheus and node exporter: what is read of them is what their own client reads.

use std::process::Command;

use infrahub_sync_tests::live::{Turn, live_folder, must};
use infrahub_sync_tests::{Project, binary};
use serde_json::Value;

/// Starts both; returns the addresses of the server and the exporter.
fn up() -> (String, String) {
    let printed = must(Command::new("tests/live/prometheus.sh").arg("up"));
    let address = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    (address("PROMETHEUS="), address("NODE_EXPORTER="))
}

#[test]
fn every_sample_is_the_one_that_prometheus_client_reads() {
    let _turn = Turn::wait();
    let (server, exporter) = up();
    for address in [server, exporter] {
        let mut check = Command::new("python3");
        check.arg("tests/live/prometheus_check.py").arg(address).arg(binary()).arg(live_folder().join("prometheus"));
        must(&mut check);
    }
}

#[test]
fn queries_and_look_ups_give_the_objects_of_a_host() {
    let _turn = Turn::wait();
    let (server, exporter) = up();
    let project = Project::new(&format!(
        "name: metrics\nsource: {{name: prometheus, settings: {{mode: api, url: \"{server}\", promql: {{resources: {{targets: up}}}}}}}}\n\
         destination: {{name: files, settings: {{path: out}}}}\nschema_mapping:\n  \
         - {{name: Target, mapping: targets, identifiers: [job], fields: [{{name: job, mapping: labels.job}}, {{name: up, mapping: value}}]}}\n"
    ));
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(project.plan(&[]).0, 0);
    let targets: Vec<Value> = project.read("out/Target.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(targets.iter().map(|target| target["job"].as_str().unwrap()).collect::<Vec<_>>(), ["node", "prometheus"]);

    let host = Project::new(&format!(
        "name: host\nsource: {{name: prometheus, settings: {{url: \"{exporter}\"}}}}\n\
         destination: {{name: files, settings: {{path: out}}}}\nschema_mapping:\n  \
         - name: Interface\n    mapping: node_network_mtu_bytes\n    identifiers: [host, name]\n    fields:\n      \
         - {{name: host, mapping: host}}\n      - {{name: name, mapping: labels.device}}\n      \
         - {{name: mac, mapping: mac}}\n      - {{name: up, mapping: \"lookup(node_network_up, labels.device, value)\"}}\n    transforms:\n      \
         - {{field: host, expression: \"{{{{ lookup('node_uname_info', {{}}, 'labels.nodename') }}}}\"}}\n      \
         - {{field: mac, expression: \"{{{{ lookup('node_network_info', {{'device': labels.device}}, 'labels.address') }}}}\"}}\n"
    ));
    host.ok(&["sync", "--no-diff"]);
    let nodename = must(Command::new("uname").arg("-n"));
    for line in host.read("out/Interface.jsonl").lines() {
        let interface: Value = serde_json::from_str(line).unwrap();
        let name = interface["name"].as_str().unwrap();
        let of_system = |file: &str| std::fs::read_to_string(format!("/sys/class/net/{name}/{file}")).unwrap_or_default().trim().to_owned();
        assert_eq!((interface["host"].as_str().unwrap(), interface["mac"].as_str().unwrap()), (nodename.trim(), &*of_system("address")));
        assert_eq!(interface["up"].as_f64(), Some(f64::from(u8::from(of_system("operstate") == "up"))), "{name}");
    }
}
