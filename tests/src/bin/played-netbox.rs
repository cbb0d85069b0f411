//! The NetBox that is played, as a program, for what is not written in Rust: it prints its address and serves until it is killed.
//!
//! ```text
//! played-netbox OBJECTS
//! played-netbox --mapping        prints the mapping of its lists
//! ```

#![allow(clippy::print_stdout, reason = "a program that prints")]

use infrahub_sync_tests::netbox::{MAPPING, PlayedNetBox};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let word = std::env::args().nth(1).unwrap_or_default();
    if word == "--mapping" {
        println!("{MAPPING}");
        return Ok(());
    }
    let objects: usize = word.parse().map_err(|_| "usage: played-netbox OBJECTS")?;
    let netbox = PlayedNetBox::start(objects);
    println!("{}", netbox.url());
    loop {
        std::thread::park();
    }
}
