//! The systems that our tests play, judged by the clients that other people wrote for them, and by the adapters of infrahub-sync 2.0.1.

use std::path::PathBuf;
use std::process::Command;

use infrahub_sync_tests::binary;
use infrahub_sync_tests::live::{must, root};

/// Lets the client of a system, and the adapter of 2.0.1, read the one that is played.
fn judged(system: &str) {
    let made = Command::new("tests/live/reference.sh").arg("clients").current_dir(root()).output().unwrap();
    if made.status.code() == Some(77) {
        eprintln!("{}", String::from_utf8_lossy(&made.stderr));
        return;
    }
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let folder = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
    let mut check = Command::new(folder.join("venv/bin/python"));
    check.arg("tests/live/clients_check.py").arg(binary().with_file_name("played-appliance")).arg(binary()).arg(folder).arg(system);
    must(&mut check);
}

#[test]
fn ip_fabric_is_played_as_its_client_expects_and_read_as_by_2_0_1() {
    judged("ipfabric");
}

#[test]
fn slurpit_is_played_as_its_client_expects_and_read_as_by_2_0_1() {
    judged("slurpit");
}

#[test]
fn the_apic_is_played_as_its_client_expects_and_read_as_by_2_0_1() {
    judged("aci");
}
