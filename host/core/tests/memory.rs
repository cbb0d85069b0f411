//! The memory for a hostile page: at most four times its size and 64 MiB. The only test of its process, because it looks at the peak of it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use infrahub_sync_core::records::{Projection, Shape};
use infrahub_sync_core::value::Tag;

const PAGE: usize = 16 << 20;

/// Returns the most memory that the process had since the peak was forgotten, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn list(item: &str) -> String {
    format!("[{}]", vec![item; PAGE / (item.len() + 1)].join(","))
}

#[test]
fn a_page_takes_at_most_four_times_its_size() {
    let distinct: Vec<String> = (0..PAGE / 9).rev().map(|number| format!("\"{number:06x}\":0")).collect();
    let values = [
        list(r#"{"":0}"#),
        list("0"),
        list("[]"),
        list("null"),
        list(r#"{"id":1}"#),
        list(r#"{"id":[]}"#),
        format!("{{\"x\":{}}}", list("{}")),
        format!("{{\"id\":{}}}", list("{}")),
        format!("{{{}}}", vec![r#""":0"#; PAGE / 5].join(",")),
        format!("{{{}}}", distinct.join(",")),
    ];
    let shapes: [&[(&str, Shape)]; 3] =
        [&[("a", Shape::Value)], &[("a", Shape::Peer)], &[("a", Shape::Value), ("a", Shape::Peer), ("a.x", Shape::Value)]];
    for value in values {
        let body = format!("[{{\"a\":{value}}}]");
        for shape in shapes {
            let mut projection = Projection::default();
            for (path, shape) in shape {
                projection.slot(path, *shape);
            }
            // Forgets the peak so far.
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = peak();
            let records = projection.json(&body, "").unwrap();
            let taken = peak().saturating_sub(before);
            let start = body.get(..20).unwrap();
            assert!(taken <= 4 * PAGE + (64 << 20), "{start} {shape:?}: {} MiB", taken >> 20);
            assert!(matches!(records.columns[0].tag(0), Tag::Json | Tag::Ids));
        }
    }
}
