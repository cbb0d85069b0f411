//! Statements of an adapter that cannot both be true: whatever it says, nothing is lost.

use std::collections::BTreeMap;
use std::path::Path;

use infrahub_sync_config::Project;
use serde_json::json;

use super::Pair;
use super::memory::{Behaviour, Faults, Loss, MemorySystem, Net, Object, to};

const TAGS: &str = "name: world
source: {name: source}
destination: {name: destination}
diffsync_flags: [NONE]
deletes: all
max_deletes: 100%
schema_mapping:
  - {name: Tag, identifiers: [name], fields: [{name: name, mapping: name}]}
";

/// Returns a network of tags, and one site of the same name for each.
fn tags(names: &[&str]) -> Net {
    let named = |name: &&str| {
        let key = [("name".to_owned(), json!(name))].into_iter().collect();
        ((*name).to_owned(), Object { key, ..Object::default() })
    };
    let objects: BTreeMap<String, Object> = names.iter().map(named).collect();
    [("Tag".to_owned(), objects.clone()), ("Site".to_owned(), objects)].into()
}

fn pair(text: &str, a: &Net, b: &Net, behaviour: Behaviour) -> Pair {
    let project = Project::parse(text, Path::new("config.yml"), &|_: &str| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Pair::of(project, a, b, behaviour, super::memory::Schema::default())
}

fn names(pair: &Pair) -> Vec<String> {
    pair.destination.net()["Tag"].keys().cloned().collect()
}

#[test]
fn a_total_that_only_the_last_page_tells_keeps_a_short_read_from_deleting() {
    let net = tags(&["a", "b", "c"]);
    let mut pair = pair(TAGS, &net, &net, Behaviour { page_size: 1, counts_late: true, ..Behaviour::default() });
    pair.source.fail(Faults { lost_rows: [to("Tag", "b")].into(), ..Faults::default() });
    let run = pair.diff();
    let reason = run.summary.kinds.iter().find_map(|kind| kind.partial_reason.clone());
    assert_eq!(reason.as_deref(), Some("the list `Tag` reports 3 objects and returned 2"));
    pair.sync();
    assert_eq!(names(&pair), ["a", "b", "c"]);
}

#[test]
fn a_lent_list_that_is_shorter_than_its_total_deletes_nothing_of_what_is_made_with_it() {
    let text = TAGS.replace("fields:", "transforms: [{field: name, expression: '{{ name | labels }}'}], fields:");
    let mut pair = pair(&text, &Net::new(), &tags(&["A", "B"]), Behaviour::default());
    let mut net = tags(&["a", "b"]);
    for (name, label) in [("a", "A"), ("b", "B")] {
        let site = net.get_mut("Site").and_then(|sites| sites.get_mut(name)).unwrap();
        site.values.insert("label".to_owned(), json!(label));
    }
    pair.source = MemorySystem::lending("source", &net, "Site");
    assert_eq!(super::rows(&pair.diff()).len(), 0, "the whole list is lent");
    pair.source.fail(Faults { lost_rows: [to("Site", "b")].into(), ..Faults::default() });
    let run = pair.diff();
    let reason = run.summary.kinds.iter().find_map(|kind| kind.partial_reason.clone()).unwrap_or_default();
    assert!(reason.ends_with("a list that is not complete: the list `Site` reports 2 objects and returned 1"), "{reason}");
    pair.sync();
    assert_eq!(names(&pair), ["A", "B", "b"]);
}

#[test]
fn an_object_that_a_short_list_lacks_is_not_taken_for_deleted() {
    let behaviour = Behaviour { reads_ids: false, changes: false, ..Behaviour::default() };
    let mut pair = pair(TAGS, &tags(&["a"]), &tags(&["a", "b"]), behaviour);
    // The delete never arrives, and the list by which that would be seen lacks the object.
    let lost_rows = [to("Tag", "b")].into();
    pair.destination.fail(Faults { lost: [(0, Loss::Never)].into(), lost_rows, whole_reads: 1, ..Faults::default() });
    let applied = pair.sync();
    assert!(applied.counts.not_written() > 0 || names(&pair) == ["a"], "it counts as deleted and exists: {:?}", applied.counts);
}
