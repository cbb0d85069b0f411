//! Adapters of strangers: what `adapter …` tells of them, what pins and lock files stop, and the store of compiled ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use infrahub_sync_runtime::digest;
use infrahub_sync_test_server::{Answer, Server};
use infrahub_sync_tests::{Output, Project, component};
use serde_json::{Value, json};

/// The same component with another digest: a custom section is added, which means nothing.
fn touched(mut component: Vec<u8>) -> Vec<u8> {
    component.extend([0, 3, 1, b'x', b'y']);
    component
}

/// A component as if it had been built for another version of the contract, which must be as long as the real one.
fn of_contract(component: &[u8], version: &str) -> Vec<u8> {
    let (real, other) = (b"@0.2.0", format!("@{version}").into_bytes());
    let mut changed = component.to_vec();
    for at in 0..changed.len() - real.len() {
        if changed[at..].starts_with(real) {
            changed[at..at + real.len()].copy_from_slice(&other);
        }
    }
    assert_ne!(changed, component);
    changed
}

fn write(project: &Project, name: &str, bytes: &[u8]) -> PathBuf {
    let path = project.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// From a folder to a folder, by an adapter of the project's own and by a built-in one.
const CONFIG: &str = "
name: office
source: {name: acme, adapter: ./acme.wasm, settings: {path: source}}
destination: {name: files, settings: {path: destination}}
schema_mapping:
  - name: Site
    mapping: sites
    identifiers: [name]
    fields: [{name: name, mapping: name}]
";

fn office() -> Project {
    let project = Project::new(CONFIG);
    project.write("source/sites.json", &json!([{"id": 1, "name": "Kraków"}]).to_string());
    write(&project, "acme.wasm", &component("files"));
    project
}

fn adapter(project: &Project, arguments: &[&str]) -> Output {
    project.run(&[&["adapter"], arguments].concat())
}

fn lock(project: &Project, arguments: &[&str]) -> Output {
    adapter(project, &[&["lock", "--config-file", "config.yml"], arguments].concat())
}

/// What a test cannot know: digests.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("sha256:") {
        let digits = after.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(after.len());
        assert_eq!(digits, 64, "{after}");
        shown.push_str(before);
        shown.push_str("sha256:…");
        rest = &after[digits..];
    }
    (shown + rest).trim_end().to_owned()
}

fn destination_is_empty(project: &Project) -> bool {
    !project.path().join("destination").exists()
}

#[test]
fn what_is_built_in_and_what_is_found_is_listed_and_what_is_broken_told() {
    let project = office();
    let listed = adapter(&project, &["list", "--output", "json"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let list: Value = serde_json::from_str(&listed.stdout).unwrap();
    let names = |list: &Value| -> Vec<String> {
        let of = |adapter: &Value| format!("{} {}", adapter["name"].as_str().unwrap(), adapter["file"].as_str().unwrap_or("built in"));
        list["adapters"].as_array().unwrap().iter().map(of).collect()
    };
    let built_in = names(&list);
    let plugins = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let plugins: BTreeSet<String> = plugins.map(|name| format!("{name} built in")).collect();
    assert_eq!(built_in, plugins.into_iter().collect::<Vec<_>>());
    let prometheus = list["adapters"].as_array().unwrap().iter().find(|adapter| adapter["name"] == "prometheus").unwrap();
    assert_eq!((&prometheus["source"], &prometheus["destination"]), (&json!(true), &json!(false)));
    assert_eq!(prometheus["contract"], infrahub_sync_runtime::CONTRACT_VERSION);

    write(&project, "more/netbox.wasm", &component("payloads"));
    write(&project, "more/zero.wasm", b"");
    let told = adapter(&project, &["list", "--adapter-path", "more", "--config-file", "config.yml"]);
    assert_eq!(told.code, 4);
    let lines: Vec<&str> = told.stdout.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("Name") && lines.len() == built_in.len() + 3, "{}", told.stdout);
    assert!(lines[1].starts_with("acme") && lines[1].contains(" used ") && lines[1].contains("acme.wasm"), "{}", lines[1]);
    assert!(lines[1].contains("`files`: "), "what it calls itself: {}", lines[1]);
    assert!(lines[2].starts_with("netbox") && lines[2].contains("more/netbox.wasm (hidden by built in)"), "{}", lines[2]);
    assert!(lines[3..].iter().any(|line| line.starts_with("netbox") && !line.contains("hidden")), "{}", told.stdout);
    assert!(told.stderr.contains("adapter `zero` cannot be used: it is not a WebAssembly component"), "{}", told.stderr);
    assert!(told.stderr.contains("hint: `zero` is the adapter in more/zero.wasm"), "{}", told.stderr);
    let list = adapter(&project, &["list", "--adapter-path", "more", "--output", "json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(list["broken"][0]["file"], "more/zero.wasm");
    assert_eq!(list["adapters"].as_array().unwrap().len(), built_in.len() + 1);
}

#[test]
fn an_adapter_is_inspected_without_a_project_and_with_one() {
    let project = office();
    let bytes = component("files");
    let told = adapter(&project, &["inspect", "acme.wasm", "--config-file", "config.yml"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    for line in [
        "files 0.1.0 (here `acme`)".to_owned(),
        format!("  Digest      {}", digest(&bytes)),
        format!("({} bytes)", bytes.len()),
        "  Hosts       none".to_owned(),
        "  Folders     the one in `path`: read only as a source, read and write as a destination".to_owned(),
        "  Secrets     none".to_owned(),
        "  WASI        none".to_owned(),
        "In this project, as source\n  Secrets     none\n  Address     none\n  Folder      source, read only\n  Environment none\n"
            .to_owned(),
    ] {
        assert!(told.stdout.contains(&line), "{line}\n---\n{}", told.stdout);
    }
    assert!(!told.stdout.contains("as destination\n"), "that is another component: {}", told.stdout);

    let told = adapter(&project, &["inspect", "netbox"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    for part in
        ["only the origin in `url` (or NETBOX_ADDRESS, NETBOX_URL)", "`token` (or NETBOX_TOKEN); the adapter never sees them", "built in"]
    {
        assert!(told.stdout.contains(part), "{part}\n---\n{}", told.stdout);
    }
    let told = adapter(&project, &["inspect", "netbox", "--output", "json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&told["built_in"], &told["address_setting"], &told["folder_setting"]), (&json!(true), &json!("url"), &json!(null)));
    let token = told["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == "token").unwrap();
    assert_eq!((&token["secret"], &token["environment"]), (&json!(true), &json!(["NETBOX_TOKEN"])));
}

#[test]
fn what_is_no_adapter_is_told_so_and_exits_with_4() {
    let project = office();
    let good = component("files");
    write(&project, "cut.wasm", &good[..good.len() / 2]);
    write(&project, "module.wasm", b"\0asm\x01\0\0\0");
    write(&project, "text.wasm", b"#!/bin/sh\n");
    fs::create_dir(project.path().join("folder.wasm")).unwrap();
    for (file, words) in [
        ("cut.wasm", "adapter `cut` cannot be used: the file is damaged or needs a newer program"),
        ("module.wasm", "adapter `module` cannot be used: it is a core WebAssembly module, not a component"),
        ("text.wasm", "adapter `text` cannot be used: it is not a WebAssembly component"),
        ("folder.wasm", "the adapter `folder.wasm` is not a file"),
        ("none.wasm", "cannot read the adapter `none.wasm`"),
        ("nonsuch", "adapter `nonsuch` not found"),
    ] {
        let told = adapter(&project, &["inspect", file]);
        assert_eq!((told.code, told.stdout.as_str()), (4, ""), "{file}: {}", told.stderr);
        assert!(told.stderr.starts_with(&format!("error: {words}")), "{file}: {}", told.stderr);
    }
}

#[test]
fn an_adapter_of_another_contract_is_told_both_versions_and_what_to_do() {
    let project = office();
    let good = component("files");
    for (version, words) in [
        (
            "0.3.0",
            "error: adapter `acme` cannot be used: it was built for contract 0.3.0, and this program supports contract 0.2: update infrahub-sync",
        ),
        (
            "1.0.0",
            "error: adapter `acme` cannot be used: it was built for contract 1.0.0, and this program supports contract 0.2: update infrahub-sync",
        ),
        (
            "0.1.0",
            "error: adapter `acme` cannot be used: it was built for contract 0.1.0, and this program supports contract 0.2: install a version of the adapter for contract 0.2, or rebuild it with the SDK of 0.2",
        ),
    ] {
        write(&project, "acme.wasm", &of_contract(&good, version));
        for arguments in [&["diff"][..], &["sync"], &["adapter", "inspect", "acme.wasm"]] {
            let told = project.run(arguments);
            assert_eq!(told.code, 4, "{arguments:?}: {}", told.stderr);
            let mut lines = told.stderr.lines();
            assert_eq!(lines.next().unwrap(), words, "{arguments:?}");
            let rest: String = lines.collect();
            assert!(rest.contains("hint: `acme` is the adapter in ") && rest.contains("acme.wasm"), "{rest}");
        }
    }
    assert!(destination_is_empty(&project));
}

#[test]
fn a_component_that_is_not_the_pinned_one_is_not_even_compiled() {
    let mut project = office();
    project.set("XDG_CACHE_HOME", &project.path().join("home").display().to_string());
    let pinned = digest(&component("files"));
    let config = CONFIG
        .replace("adapter: ./acme.wasm,", &format!("adapter: ./acme.wasm, digest: \"{}\",", pinned.to_uppercase().replace("SHA", "sha")));
    project.write("config.yml", &config);
    project.ok(&["validate"]);
    // A home in which nothing has been compiled.
    project.set("XDG_CACHE_HOME", &project.path().join("second").display().to_string());
    let found = write(&project, "acme.wasm", b"whatever this is");
    let found = digest(&fs::read(found).unwrap());
    for command in ["validate", "diff", "sync"] {
        let told = project.run(&[command]);
        assert_eq!(told.code, 4, "{command}: {}", told.stderr);
        assert_eq!(
            told.stderr.trim_end(),
            format!(
                "error: the source adapter `acme` (acme.wasm) does not match the digest at config.yml:3\n    pinned: {pinned}\n    found:  {found}\n\n\
                 hint: to accept this component, set `digest: {found}` below `source:` in config.yml"
            )
            .as_str(),
            "{command}"
        );
    }
    assert!(!project.path().join("second").exists(), "nothing had to be compiled to compare digests");
    assert!(destination_is_empty(&project));
    // What the hint says works.
    write(&project, "acme.wasm", &touched(component("files")));
    let found = digest(&touched(component("files")));
    project.write("config.yml", &CONFIG.replace("adapter: ./acme.wasm,", &format!("adapter: ./acme.wasm, digest: {found},")));
    project.ok(&["sync"]);
    project.write("config.yml", &CONFIG.replace("adapter: ./acme.wasm,", "adapter: ./acme.wasm, digest: abc,"));
    let told = project.run(&["validate"]);
    assert_eq!(told.code, 3);
    assert!(
        told.stderr.contains("a digest is `sha256:` and 64 hexadecimal digits") && told.stderr.contains("config.yml:3:"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_lock_stops_another_component_until_it_is_accepted() {
    let project = office();
    // Without a lock all is as ever.
    project.ok(&["diff"]);
    let told = lock(&project, &["--check"]);
    assert_eq!(told.code, 4);
    insta::assert_snapshot!(told.stderr.trim_end(), @r"
    error: infrahub-sync.lock.yml does not exist: it lists the accepted adapters

    hint: to accept the current adapters, run `infrahub-sync adapter lock --config-file config.yml`
    ");
    let told = lock(&project, &[]);
    assert_eq!((told.code, told.stdout.as_str()), (0, ""), "{}", told.stderr);
    insta::assert_snapshot!(shown(&told.stderr), @r"
    Wrote infrahub-sync.lock.yml
    source: files 0.1.0, sha256:…
        may read the files of the folder source
    destination: files 0.1.0, built-in
        may read and write the files of the folder destination
    ");
    insta::assert_snapshot!(shown(&project.read("infrahub-sync.lock.yml")), @r#"
    # The adapters that this project accepts, and what they may reach. Made by `infrahub-sync adapter lock`; keep it with config.yml.
    # A run stops before anything is sent when an adapter is another one, or could reach more than is written here.
    format: 1
    source:
      adapter: files
      version: "0.1.0"
      contract: "0.2.0"
      digest: sha256:…
      folder: {path: source, access: read}
    destination:
      adapter: files
      version: "0.1.0"
      contract: "0.2.0"
      digest: built-in
      folder: {path: destination, access: read-write}
    "#);
    project.ok(&["validate"]);
    project.ok(&["diff"]);
    assert_eq!(lock(&project, &["--check"]).code, 0);
    assert!(lock(&project, &[]).stderr.starts_with("Up to date: "));

    write(&project, "acme.wasm", &touched(component("files")));
    for arguments in [&["validate"][..], &["diff"], &["sync"], &["adapter", "lock", "--check", "--config-file", "config.yml"]] {
        let told = project.run(arguments);
        assert_eq!(told.code, 4, "{arguments:?}: {}", told.stderr);
        insta::allow_duplicates! {
            insta::assert_snapshot!(shown(&told.stderr), @r"
            error: the adapters do not match infrahub-sync.lock.yml
                source: digest: sha256:… → sha256:…

            hint: no requests were sent; to accept these changes, run `infrahub-sync adapter lock --config-file config.yml`
            ");
        }
    }
    assert!(destination_is_empty(&project));
    let told = lock(&project, &[]);
    assert_eq!(told.code, 0);
    insta::assert_snapshot!(shown(&told.stderr), @r"
    + source: digest: sha256:… → sha256:…
    Wrote infrahub-sync.lock.yml
    ");
    project.ok(&["sync"]);
    // An apply needs the destination alone.
    project.ok(&["diff", "--run-id", "planned"]);
    write(&project, "acme.wasm", &component("payloads"));
    project.ok(&["apply", "--run-id", "planned"]);
}

#[test]
fn a_lock_stops_what_could_reach_more_and_lets_pass_what_reaches_less() {
    let project = office();
    lock(&project, &[]);
    project.write("config.yml", &CONFIG.replace("path: source", "path: /").replace("path: destination", "path: ./destination/"));
    let told = project.run(&["sync"]);
    assert_eq!(told.code, 4);
    assert!(told.stderr.contains("\n    source: may read the files of the folder /\n\nhint: "), "{}", told.stderr);
    // A file in an adapter folder does not hide what is built in.
    project.write("config.yml", &CONFIG.replace("schema_mapping", "adapters_path: [plugins]\nschema_mapping"));
    write(&project, "plugins/files.wasm", &component("files"));
    let told = project.ok(&["diff"]);
    assert!(told.stderr.contains("plugins/files.wasm is not used: `files` is built in"), "{}", told.stderr);
    project.write("config.yml", &CONFIG.replace("destination: {name: files,", "destination: {name: files, adapter: ./plugins/files.wasm,"));
    let told = project.run(&["diff"]);
    assert_eq!(told.code, 4);
    assert!(shown(&told.stderr).contains("\n    destination: digest: built-in → sha256:…\n"), "{}", told.stderr);
    // Another adapter altogether, with a host, environment variables and secrets.
    project.write(
        "config.yml",
        &CONFIG.replace(
            "name: acme, adapter: ./acme.wasm, settings: {path: source}",
            "name: netbox, settings: {url: \"https://netbox.example\", token: x}",
        ),
    );
    let told = project.run(&["diff"]);
    assert_eq!(told.code, 4);
    insta::assert_snapshot!(shown(&told.stderr), @r"
    error: the adapters do not match infrahub-sync.lock.yml
        source: adapter: files → netbox
        source: digest: sha256:… → built-in
        source: its address is https://netbox.example: its credentials go there
        source: is set by the environment variable NETBOX_ADDRESS
        source: is set by the environment variable NETBOX_TOKEN
        source: is set by the environment variable NETBOX_URL
        source: has the secret `token`, from config.yml, used for it

    hint: no requests were sent; to accept these changes, run `infrahub-sync adapter lock --config-file config.yml`
    ");
    // What is written down is an upper bound: less is fine, also in a lock that a person has written.
    project.write("config.yml", CONFIG);
    let text = project.read("infrahub-sync.lock.yml").replace(
        "  folder: {path: source, access: read}",
        "  origins: [\"https://x.example\"]\n  folder: {path: source, access: read-write}",
    );
    project.write("infrahub-sync.lock.yml", &text);
    project.ok(&["sync"]);
    let told = lock(&project, &[]);
    insta::assert_snapshot!(told.stderr.trim_end(), @r"
    - source: may send HTTP requests to https://x.example
    - source: may read and write the files of the folder source
    Wrote infrahub-sync.lock.yml
    ");
}

#[test]
fn a_damaged_lock_is_told_with_its_line_and_stops() {
    let project = office();
    lock(&project, &[]);
    let good = project.read("infrahub-sync.lock.yml");
    for (text, words) in [
        (good.replace("access: read}", "access: all}"), "infrahub-sync.lock.yml:9:34"),
        (good.replace("digest: built-in", "digset: built-in"), "infrahub-sync.lock.yml:14:3"),
        (good.replace("format: 1", "format: 7"), "this lock file has format 7"),
        (String::new(), "the file is empty"),
        (good[..good.len() / 2].to_owned(), "infrahub-sync.lock.yml"),
    ] {
        project.write("infrahub-sync.lock.yml", &text);
        for arguments in [&["validate"][..], &["sync"], &["adapter", "lock", "--config-file", "config.yml"]] {
            let told = project.run(arguments);
            assert_eq!(told.code, 3, "{arguments:?}: {}", told.stderr);
            assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
        }
    }
    assert!(destination_is_empty(&project));
    fs::remove_file(project.path().join("infrahub-sync.lock.yml")).unwrap();
    assert_eq!(lock(&project, &[]).code, 0);
    assert_eq!(project.read("infrahub-sync.lock.yml"), good);
}

#[test]
fn raised_limits_are_shown_and_locked() {
    let project = office();
    lock(&project, &[]);
    project
        .write("config.yml", &CONFIG.replace("settings: {path: source}", "settings: {path: source}, limits: {memory: 512 MiB, pages: 7}"));
    let told = project.run(&["diff"]);
    assert_eq!(told.code, 4);
    let line = "\n    source: has the limit `memory` of 512 MiB instead of 256 MiB\n\nhint: no requests were sent";
    assert!(told.stderr.contains(line), "{}", told.stderr);
    let told = adapter(&project, &["inspect", "acme", "--config-file", "config.yml"]);
    assert!(told.stdout.ends_with("  Limits      memory: 512 MiB instead of 256 MiB\n"), "{}", told.stdout);
    lock(&project, &[]);
    project.ok(&["diff"]);
    assert!(project.read("infrahub-sync.lock.yml").contains("\n  limits: {memory: 512 MiB}\n"));
}

#[test]
fn credentials_are_sent_only_in_granted_ways() {
    let server = useless();
    let config = "
name: office
source: {name: acme, adapter: ./acme.wasm, settings: {url: \"HERE\", token: hunter2-hunter2}, grants: {credentials: WAYS}}
destination: {name: files, settings: {path: destination}}
schema_mapping:
  - name: BuiltinTag
    mapping: extras.tags
    identifiers: [name]
    fields: [{name: name, mapping: name}]
"
    .replace("HERE", server.url());
    let project = Project::new(&config.replace("WAYS", "[\"sends `token` in the header `authorization: Token {token}` of each request\"]"));
    write(&project, "acme.wasm", &component("netbox"));
    let told = project.run(&["diff"]);
    assert_eq!((told.code, server.count()), (4, 0), "{}", told.stderr);
    let begin = "error: the source adapter `netbox` sends credentials in a way that its `grants:` do not name\n    sends `token` in the header \
                 `authorization: Bearer {token}` of each request\n\nhint: no requests were sent; if that is right for this adapter, write under `source:` \
                 in config.yml: `grants: {credentials: [";
    assert!(told.stderr.contains(begin), "{}", told.stderr);
    // The line of the hint is right as it stands.
    let ways = told.stderr.split("grants: {credentials: ").nth(1).unwrap().split("}`\n").next().unwrap();
    project.write("config.yml", &config.replace("WAYS", ways));
    let told = project.run(&["diff"]);
    assert!(server.count() > 0 && told.code != 4, "{}", told.stderr);
}

/// A server that answers nothing of use.
fn useless() -> Server {
    Server::start(|_| Answer::status(404).body("{}").into())
}

#[test]
fn nothing_is_sent_to_a_host_that_is_not_in_the_lock() {
    let config = "
name: office
source: {name: netbox, settings: {url: \"SOURCE\"}}
destination: {name: infrahub, settings: {url: \"DESTINATION\"}}
schema_mapping:
  - name: BuiltinTag
    mapping: extras.tags
    identifiers: [name]
    fields: [{name: name, mapping: name}]
";
    let (first, second) = (useless(), useless());
    let (accepted, other) = (first.url(), second.url());
    let mut project = Project::new(&config.replace("SOURCE", accepted).replace("DESTINATION", accepted));
    project.set("NETBOX_TOKEN", "hunter2-hunter2");
    project.set("INFRAHUB_API_TOKEN", "hunter3-hunter3");
    assert_eq!(lock(&project, &[]).code, 0);
    assert_eq!(first.count(), 0, "a lock asks nobody");
    let text = project.read("infrahub-sync.lock.yml");
    assert!(text.contains(&format!("address: [\"{accepted}\"]")) && text.contains("secrets: {token: environment}"), "{text}");
    assert!(!text.contains("hunter"));
    // The other side alone has changed, and yet neither is asked.
    project.set("INFRAHUB_ADDRESS", other);
    for command in ["diff", "sync"] {
        let told = project.run(&[command]);
        assert_eq!(told.code, 4, "{}", told.stderr);
        assert!(told.stderr.contains(&format!("destination: its address is {other}: its credentials go there")), "{}", told.stderr);
    }
    assert_eq!((first.count(), second.count()), (0, 0));
    project.set("INFRAHUB_ADDRESS", accepted);
    assert_ne!(project.run(&["diff"]).code, 4);
    assert!(first.count() > 0, "accepted: it is asked");
    // An origin that was accepted without credentials does not get them as an address.
    project.write("infrahub-sync.lock.yml", &text.replace("  environment", &format!("  origins: [\"{other}\"]\n  environment")));
    project.set("INFRAHUB_ADDRESS", other);
    assert_eq!(project.run(&["diff"]).code, 4);
    assert_eq!(second.count(), 0);
    // A check that goes to the system is a run in this respect.
    let check = ["check", "infrahub", "--config-file", "config.yml", "--record", "exchanges"];
    let told = adapter(&project, &check);
    assert_eq!((told.code, second.count()), (4, 0), "{}", told.stderr);
    assert!(told.stderr.contains("the adapters do not match"), "{}", told.stderr);
    // Without the address a lock would stop every run that has one.
    let mut project = Project::new(&config.replace("settings: {url: \"SOURCE\"}", "settings: {}").replace("DESTINATION", accepted));
    let told = lock(&project, &[]);
    assert_eq!(told.code, 3);
    assert!(
        told.stderr.contains("settings of source `netbox` 0.1.0: `url` is required (or set NETBOX_ADDRESS or NETBOX_URL)"),
        "{}",
        told.stderr
    );
    assert!(!project.path().join("infrahub-sync.lock.yml").exists());
    // And a check in CI, where the address is not known, checks what can be known.
    project.set("NETBOX_ADDRESS", accepted);
    assert_eq!(lock(&project, &[]).code, 0);
    project.set("NETBOX_ADDRESS", "");
    assert_eq!(lock(&project, &["--check"]).code, 0);
}

#[test]
fn variables_of_others_are_not_read_unless_they_are_granted() {
    let config = "
name: office
source: {name: acme, adapter: ./acme.wasm, settings: {url: \"HERE\"}GRANTS}
destination: {name: files, settings: {path: destination}}
schema_mapping:
  - name: BuiltinTag
    mapping: extras.tags
    identifiers: [name]
    fields: [{name: name, mapping: name}]
";
    let (first, second) = (useless(), useless());
    let (here, there) = (first.url(), second.url());
    let config = config.replace("HERE", here);
    let mut project = Project::new(&config.replace("GRANTS", ""));
    // NETBOX_URL is what the component asks for; the project calls it `acme`.
    write(&project, "acme.wasm", &component("netbox"));
    project.set("NETBOX_URL", there);
    let told = project.run(&["diff"]);
    assert!(first.count() > 0 && second.count() == 0, "{}", told.stderr);
    let line = "asks for the environment: NETBOX_URL is not read; to allow it, write under `source:` in config.yml: \
                `grants: {environment: [NETBOX_URL]}`";
    assert!(told.stderr.contains(line), "{}", told.stderr);
    let inspected = adapter(&project, &["inspect", "acme", "--config-file", "config.yml"]);
    assert!(inspected.stdout.contains("Environment none"), "{}", inspected.stdout);

    project.write("config.yml", &config.replace("GRANTS", ", grants: {environment: [NETBOX_URL]}"));
    let asked = first.count();
    let told = project.run(&["diff"]);
    assert!(first.count() == asked && second.count() > 0, "{}", told.stderr);
    assert!(!told.stderr.contains("is not read"), "{}", told.stderr);
    // Under its own name it needs no grant.
    project.write("config.yml", &config.replace("GRANTS", "").replace("name: acme", "name: netbox"));
    let told = project.run(&["diff"]);
    assert!(first.count() == asked && !told.stderr.contains("is not read"), "{}", told.stderr);
}

/// The files in the store of compiled adapters.
fn store(home: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(home.join("infrahub-sync/components")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn compiled_adapters_are_shared_by_processes_repaired_and_pruned() {
    let mut project = office();
    let home = project.path().join("home");
    project.set("XDG_CACHE_HOME", &home.display().to_string());
    // A small one, to be quick.
    write(&project, "small.wasm", &component("payloads"));
    let start = || {
        let mut command = project.command(&["adapter", "inspect", "small.wasm", "--output", "json"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..4).map(|_| start()).collect();
    for process in running {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["digest"], digest(&component("payloads")));
    }
    let files = store(&home);
    assert_eq!(files.len(), 1, "{files:?}");
    let good = fs::read(&files[0]).unwrap();
    // Damage in any part: what is there is not run, and made again.
    for at in [0, 20, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&files[0], &bad).unwrap();
        let told = adapter(&project, &["inspect", "small.wasm"]);
        assert_eq!(told.code, 0, "{}", told.stderr);
        assert!(fs::read(&files[0]).unwrap() == good, "{at}");
    }
    let pruned = adapter(&project, &["prune"]);
    assert_eq!((pruned.code, pruned.stdout.as_str()), (0, ""));
    assert!(pruned.stderr.starts_with("Nothing to remove; kept 1 ("), "{}", pruned.stderr);
    let dry = adapter(&project, &["prune", "--older-than", "0d", "--dry-run", "--output", "json"]);
    let told: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(told["dry_run"], true);
    assert_eq!(told["removed"][0]["digest"], digest(&component("payloads")));
    assert_eq!(told["removed"][0]["usable"], true);
    assert_eq!(told["bytes"], good.len());
    assert_eq!(store(&home), files);
    let pruned = adapter(&project, &["prune", "--older-than", "0d"]);
    assert_eq!(pruned.code, 0);
    assert!(pruned.stdout.contains("custom") && pruned.stdout.contains(&digest(&component("payloads"))), "{}", pruned.stdout);
    assert!(pruned.stderr.starts_with("Removed 1 compiled adapter ("), "{}", pruned.stderr);
    assert!(store(&home).is_empty());
    assert_eq!(adapter(&project, &["inspect", "small.wasm"]).code, 0);
}
