//! A destination that refuses, breaks or loses one answer in five: the end is the same as on a quiet day, nothing is made twice, and the
//! number of requests stays within bounds.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::network::Network;
use infrahub_sync_fake_infrahub::{Action, Storm};
use infrahub_sync_tests::Output;

/// What happens to one request in five.
fn actions() -> Vec<Action> {
    vec![
        Action::TooMany,
        Action::Unavailable,
        Action::Crash,
        Action::ResetBefore,
        Action::ResetAfter,
        Action::Truncate { bytes: 20 },
        Action::StatusAfter { status: 502 },
        Action::Shed,
        Action::Status { status: 500, body: String::new() },
        Action::Status { status: 504, body: "upstream timed out".into() },
        Action::StatusAfter { status: 504 },
        Action::Truncate { bytes: 0 },
    ]
}

/// Storms, each of them other.
const STORMS: u64 = 24;
/// Commands until a storm is weathered.
const TRIES: usize = 5;

/// Syncs until it is done; how many commands it took.
fn sync(network: &Network) -> usize {
    let mut said = Vec::new();
    for number in 1..=TRIES {
        // Run ids grow with time, and one that has no plan has written nothing.
        let plan = network.project.runs("network").into_iter().find(|run| network.has_plan(run));
        let Output { code, stderr, .. } = match &plan {
            Some(run) => network.project.run(&["apply", "--run-id", run]),
            None => network.project.run(&["sync", "--no-diff"]),
        };
        if code == 0 {
            return number;
        }
        said.push(format!("{code}: {stderr}"));
    }
    panic!("not done after {TRIES} commands:\n{}", said.join("\n"))
}

#[test]
fn one_answer_in_five_is_lost_and_the_end_is_the_same() {
    let quiet = {
        let network = Network::new();
        assert_eq!(sync(&network), 1);
        network.check(&"a quiet run");
        network.fake.requests().len()
    };
    let (next, most) = (AtomicU64::new(1), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // They wait more than they work.
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed > STORMS {
                        return;
                    }
                    let network = Network::new();
                    network.fake.faults().storm(Some(Storm { seed, per_mille: 200, actions: actions() }));
                    let commands = sync(&network);
                    network.fake.faults().storm(None);
                    network.check(&seed);
                    let requests = network.fake.requests().len();
                    // A lost answer of a write is read back before its rows are sent again, in smaller batches.
                    assert!(requests <= 5 * quiet, "{requests} requests in {commands} commands, {quiet} on a quiet day; storm {seed}");
                    most.fetch_max(requests as u64, Ordering::SeqCst);
                    assert_eq!(network.project.plan(&[]).0, 0, "storm {seed}");
                }
            });
        }
    });
    assert!(most.into_inner() > quiet as u64, "the storms are felt");
}
