//! The fuzz targets, from their seeds: each as it is, and in thousands of damaged copies, the same ones every time. What breaks a target
//! becomes a seed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

/// Damaged copies of each seed.
const DAMAGED: u64 = 1500;

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let mut state = 1;
    for path in seeds {
        let seed = std::fs::read(&path).unwrap();
        target(&seed);
        for _ in 0..DAMAGED {
            let mut damaged = seed.clone();
            let mut below = |limit: usize| usize::try_from(random(&mut state) % limit.max(1) as u64).unwrap();
            for _ in 0..=below(3) {
                let at = below(damaged.len());
                match below(4) {
                    0 => damaged.truncate(at),
                    1 if !damaged.is_empty() => damaged[at] ^= 1 << below(8),
                    2 => damaged.insert(at, u8::try_from(below(256)).unwrap()),
                    _ if !damaged.is_empty() => drop(damaged.drain(at..(at + below(9)).min(seed.len()).max(at).min(damaged.len()))),
                    _ => {}
                }
            }
            target(&damaged);
        }
    }
}

macro_rules! seeds {
    ($($name:ident: $target:ident),*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($target), infrahub_sync_fuzz::$target);
        })*
    };
}

seeds! {
    a_project_or_what_is_wrong_with_it: config,
    pages_of_servers: page,
    pointers_into_answers: pointers,
    columns_of_guests: columns,
    plans_on_the_disk: plan,
    journals_on_the_disk: journal,
    a_lock_or_what_is_wrong_with_it: lock,
    calls_of_host_functions: host
}
