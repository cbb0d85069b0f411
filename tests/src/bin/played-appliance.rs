//! Plays IP Fabric, Slurp'it or an APIC until its input ends: `played-appliance SYSTEM`, where SYSTEM is `ipfabric`, `ipfabric7`, `slurpit` or `aci`.
//!
//! Its input begins with a line of JSON, `{list: [row, …]}`; it answers with its address. `tests/live/clients_check.py` lets other people's clients read it.

#![allow(clippy::print_stdout, reason = "the address is its output")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use infrahub_sync_tests::appliances::{Appliance, Dialect};
use serde_json::Value;

fn main() -> ExitCode {
    let dialect = match std::env::args().nth(1).as_deref() {
        Some("ipfabric") => Dialect::IpFabric,
        Some("ipfabric7") => Dialect::IpFabric7,
        Some("slurpit") => Dialect::Slurpit,
        Some("aci") => Dialect::Apic,
        _ => return ExitCode::from(64),
    };
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).is_ok();
    let Some(lists) = serde_json::from_str::<BTreeMap<String, Vec<Value>>>(&line).ok().filter(|_| read) else { return ExitCode::from(64) };
    let appliance = Appliance::start(dialect);
    for (list, rows) in lists {
        appliance.put(&list, rows);
    }
    println!("{}", appliance.url());
    // Until the parent closes it, or ends.
    while std::io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {}
    ExitCode::SUCCESS
}
