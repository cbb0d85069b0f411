//! Published adapters, with a real registry: pushed, fetched, locked, signed, moved and damaged.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use infrahub_sync_runtime::digest;
use infrahub_sync_test_server::{Answer, Server};
use infrahub_sync_tests::registry::{Guarded, PASSWORD, Registry, USER, tls_file};
use infrahub_sync_tests::{Output, Project, component};
use serde_json::{Value, json};

/// The same adapter as another component: a custom section is added, which means nothing.
fn rebuilt(mut component: Vec<u8>, build: u8) -> Vec<u8> {
    component.extend([0, 3, 1, b'b', build]);
    component
}

/// A machine with a store of its own, and a project whose source is a published adapter.
struct Machine {
    project: Project,
    origin: String,
}

impl Machine {
    fn new(origin: &str) -> Machine {
        Machine::with(origin, "")
    }

    fn with(origin: &str, more: &str) -> Machine {
        let mut project = Project::new(&config(origin, more));
        project.write("source/sites.json", &json!([{"id": 1, "name": "Kraków"}]).to_string());
        // Neither credentials nor components of whoever runs the tests.
        let home = project.path().join("home").display().to_string();
        for (name, value) in [("HOME", home.clone()), ("XDG_CACHE_HOME", home.clone()), ("DOCKER_CONFIG", home)] {
            project.set(name, &value);
        }
        for name in
            ["DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"]
        {
            project.set(name, "");
        }
        Machine { project, origin: origin.to_owned() }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.project.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn adapter(&self, arguments: &[&str]) -> Output {
        self.project.run(&[&["adapter"], arguments].concat())
    }

    fn adapter_ok(&self, arguments: &[&str]) -> Output {
        self.project.ok(&[&["adapter"], arguments].concat())
    }

    fn lock(&self) -> Output {
        self.adapter(&["lock", "--config-file", "config.yml"])
    }

    fn locked(&self, key: &str) -> Option<String> {
        let text = self.project.read("infrahub-sync.lock.yml");
        text.lines().find_map(|line| Some(line.strip_prefix(&format!("  {key}: "))?.trim_matches('"').to_owned()))
    }

    /// Returns the components in the store.
    fn stored(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.project.path().join("home/infrahub-sync/adapters")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "component")).collect()
    }

    fn shown(&self, output: &Output) -> String {
        let host = self.origin.trim_start_matches("oci://").split('/').next().unwrap();
        let text = output.stderr.replace(host, "HOST").replace(&self.project.path().display().to_string(), "DIR");
        let mut shown = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("sha256:") {
            shown.push_str(before);
            shown.push_str("sha256:…");
            rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        }
        (shown + rest).trim_end().to_owned()
    }
}

fn config(origin: &str, more: &str) -> String {
    format!(
        "name: office\nsource:\n  name: acme\n  adapter: \"{origin}\"\n  settings: {{path: source}}\n\
         destination: {{name: files, settings: {{path: destination}}}}\n\
         schema_mapping:\n  - {{name: Site, mapping: sites, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n{more}"
    )
}

#[test]
fn from_a_push_to_a_run_on_another_machine() {
    let Some(registry) = Registry::start(Guarded::default()) else { return };
    let repository = registry.origin("acme/board");
    let author = Machine::new(&format!("{repository}:0"));
    author.write("board.wasm", &component("files"));
    let pushed =
        author.adapter_ok(&["push", "board.wasm", &repository, "--tag", "0", "--annotation", "org.opencontainers.image.licenses=MIT"]);
    assert!(pushed.stdout.starts_with(&format!("{repository}@sha256:")), "{}", pushed.stdout);
    insta::assert_snapshot!(author.shown(&pushed), @"Pushed files 0.1.0 to oci://HOST/acme/board:0.1.0, :0: sha256:…, not signed");

    // Nothing is fetched before the lock file names it.
    let user = Machine::new(&format!("{repository}:0"));
    let output = user.project.run(&["diff"]);
    assert_eq!((output.code, user.stored()), (4, vec![]));
    insta::assert_snapshot!(user.shown(&output), @r"
    error: the adapter `oci://HOST/acme/board:0` is not locked

    hint: a run fetches only what infrahub-sync.lock.yml names; to fetch, check and lock it, run `infrahub-sync adapter lock --config-file config.yml`
    ");
    let output = user.project.run(&["diff", "--locked"]);
    assert_eq!(output.code, 4);
    insta::assert_snapshot!(user.shown(&output), @r"
    error: infrahub-sync.lock.yml does not exist: it lists the accepted adapters

    hint: to accept the current adapters, run `infrahub-sync adapter lock --config-file config.yml`
    ");

    let output = user.lock();
    assert_eq!(output.code, 0, "{}", output.stderr);
    insta::assert_snapshot!(user.shown(&output), @r"
    Wrote infrahub-sync.lock.yml
    source: files 0.1.0, sha256:…
        from oci://HOST/acme/board:0, no signature was checked
        may read the files of the folder source
    destination: files 0.1.0, built-in
        may read and write the files of the folder destination
    ");
    assert_eq!(user.locked("origin").unwrap(), format!("{repository}:0"));
    assert_eq!(user.locked("digest").unwrap(), digest(&component("files")));
    assert!(user.locked("manifest").unwrap().starts_with("sha256:") && user.locked("publisher").is_none());
    let before = user.project.read("infrahub-sync.lock.yml");
    user.project.ok(&["sync", "--locked"]);
    let written =
        fs::read_dir(user.project.path().join("destination")).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    assert!(written.collect::<String>().contains("Kraków"));
    assert_eq!(user.project.read("infrahub-sync.lock.yml"), before, "a run writes nothing to it");

    // The tag moves. A colleague with the lock file and an empty store gets the locked component.
    author.write("board.wasm", &rebuilt(component("files"), 1));
    author.adapter_ok(&["push", "board.wasm", &format!("{repository}:0")]);
    let colleague = Machine::new(&format!("{repository}:0"));
    colleague.project.write("infrahub-sync.lock.yml", &before);
    // Validating contacts no system, a registry neither.
    let validated = colleague.project.ok(&["validate"]);
    assert!(validated.stderr.contains(&format!("warning: the source adapter `{repository}:0` is not checked")), "{}", validated.stderr);
    assert_eq!(colleague.stored(), Vec::<PathBuf>::new());
    colleague.project.ok(&["diff", "--locked"]);
    assert_eq!(colleague.stored().len(), 1);

    // Without the registry, a machine that has the component runs, and another one reports what it lacks.
    let host = registry.host();
    drop(registry);
    user.project.ok(&["diff", "--locked"]);
    let late = Machine::new(&format!("{repository}:0"));
    late.project.write("infrahub-sync.lock.yml", &before);
    let output = late.project.run(&["diff"]);
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(output.stderr.starts_with(&format!("error: {host} does not answer: Connection refused")), "{}", output.stderr);
}

#[test]
fn a_moved_tag_is_locked_by_update_alone() {
    let Some(registry) = Registry::start(Guarded::default()) else { return };
    let repository = registry.origin("acme/board");
    let machine = Machine::new(&format!("{repository}:latest"));
    let push = |bytes: &[u8], more: &[&str]| {
        machine.write("board.wasm", bytes);
        machine.adapter(&[&["push", "board.wasm"], more].concat())
    };
    let version = "0.1.0";
    let first = component("files");
    assert_eq!(push(&first, &[&repository, "--tag", "latest"]).code, 0);
    assert_eq!(machine.lock().code, 0);
    assert_eq!(machine.locked("version").unwrap(), version);
    // The same again changes nothing.
    let again = push(&first, &[&repository, "--tag", "latest"]);
    insta::assert_snapshot!(machine.shown(&again), @"Up to date: oci://HOST/acme/board:0.1.0, :latest is files 0.1.0, sha256:…");

    let second = rebuilt(first.clone(), 1);
    let taken = push(&second, &[&repository]);
    assert_eq!(taken.code, 4);
    insta::assert_snapshot!(machine.shown(&taken), @r"
    error: `oci://HOST/acme/board:0.1.0` exists, and holds another component
        there:  sha256:…
        pushed: sha256:…

    hint: raise the adapter's version: the tag of a version never changes; or say --replace
    ");
    assert_eq!(push(&second, &[&format!("{repository}:9.9.9")]).code, 64, "the tag of another version");
    assert_eq!(push(&second, &[&format!("{repository}:latest")]).code, 0);
    let outdated = machine.adapter_ok(&["outdated", "--config-file", "config.yml", "--output", "json"]);
    let outdated: Value = serde_json::from_str(&outdated.stdout).unwrap();
    assert_eq!((&outdated[0]["moved"], &outdated[0]["newest"]), (&json!(true), &json!(version)));
    // `lock` keeps what is locked, and `update` takes what the tag names now.
    assert_eq!(machine.lock().code, 0);
    assert_eq!(machine.locked("digest").unwrap(), digest(&first));
    let updated = machine.adapter_ok(&["update", "--config-file", "config.yml"]);
    insta::assert_snapshot!(machine.shown(&updated), @r"
    + source: digest: sha256:… → sha256:…
    Wrote infrahub-sync.lock.yml
    ");
    assert_eq!(machine.locked("digest").unwrap(), digest(&second));
    // Another tag in config.yml is another origin.
    machine.project.write("config.yml", &config(&format!("{repository}:{version}"), ""));
    let output = machine.project.run(&["diff"]);
    assert_eq!(output.code, 4);
    insta::assert_snapshot!(machine.shown(&output), @r"
    error: the adapter `oci://HOST/acme/board:0.1.0` is not locked

    hint: infrahub-sync.lock.yml names `oci://HOST/acme/board:latest`
    hint: a run fetches only what infrahub-sync.lock.yml names; to fetch, check and lock it, run `infrahub-sync adapter lock --config-file config.yml`
    ");
    let output = machine.adapter(&["pull", &format!("{repository}:5")]);
    assert_eq!(output.code, 4);
    insta::assert_snapshot!(machine.shown(&output), @r"
    error: `oci://HOST/acme/board:5` does not exist

    hint: it has the tags 0.1.0, latest
    ");
    assert_eq!(machine.adapter_ok(&["pull", &format!("{repository}:{version}")]).stdout, "board.wasm\n");
    assert_eq!(fs::read(machine.project.path().join("board.wasm")).unwrap(), first);
}

#[test]
fn add_writes_one_line_and_the_lock_file() {
    let Some(registry) = Registry::start(Guarded::default()) else { return };
    let repository = registry.origin("acme/board");
    let machine = Machine::new("./missing.wasm");
    machine.write("board.wasm", &component("files"));
    machine.adapter_ok(&["push", "board.wasm", &repository, "--tag", "latest"]);
    machine.adapter_ok(&["add", &repository, "--as", "source", "--config-file", "config.yml"]);
    let version = machine.locked("version").unwrap();
    assert_eq!(machine.project.read("config.yml"), config(&format!("{repository}:{version}"), ""));
    machine.project.ok(&["diff", "--locked"]);
    // What cannot be locked leaves no trace.
    let before = machine.project.read("config.yml");
    let output = machine.adapter(&["add", &format!("{repository}:7"), "--as", "source", "--config-file", "config.yml"]);
    assert_eq!((output.code, machine.project.read("config.yml")), (4, before));
    // A mapping in braces is not changed.
    let output = machine.adapter(&["add", &repository, "--as", "destination", "--config-file", "config.yml"]);
    assert_eq!(output.code, 3);
    assert!(output.stderr.contains("write `adapter: \"oci://"), "{}", output.stderr);
}

#[test]
fn only_trusted_publishers_are_locked() {
    let Some(registry) = Registry::start(Guarded::default()) else { return };
    let repository = registry.origin("acme/board");
    let origin = format!("{repository}:1");
    let author = Machine::new(&origin);
    let key = author.adapter_ok(&["key", "new", "ours.key"]);
    let ours = key.stdout.trim().to_owned();
    let theirs = author.adapter_ok(&["key", "new", "theirs.key"]).stdout.trim().to_owned();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = author.project.path().join("ours.key");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!key.stdout.contains(author.project.read("ours.key").lines().nth(1).unwrap()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        author.write("board.wasm", &component("files"));
        let output = author.adapter(&["push", "board.wasm", &origin, "--key", "ours.key"]);
        assert_eq!(output.code, 64);
        insta::assert_snapshot!(author.shown(&output), @r"
        error: the key ours.key cannot be used: other users may read it

        hint: run `chmod 600 ours.key`; if others could read it, make a new key
        ");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(author.adapter(&["key", "new", "ours.key"]).code, 64, "a key is never replaced");
    let push = |build: u8, key: &[&str]| {
        author.write("board.wasm", &rebuilt(component("files"), build));
        author.adapter_ok(&[&["push", "board.wasm", &origin], key].concat());
    };
    let trust = |origins: &str| format!("trust: [{{origins: [\"{origins}\"], keys: [{ours}]}}]\n");
    let user = Machine::with(&origin, &trust(&registry.origin("acme/*")));
    let refused = |code: i32| {
        let output = user.lock();
        assert_eq!(output.code, code, "{}", output.stderr);
        assert!(user.stored().is_empty(), "what is not trusted is not kept");
        output.stderr
    };
    push(1, &[]);
    assert!(refused(4).contains("is not signed\n\nhint: `trust:` accepts the keys "));
    push(2, &["--key", "theirs.key"]);
    assert!(refused(4).contains(", which `trust:` does not name for it"));
    push(3, &["--key", "ours.key"]);
    let output = user.lock();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let id = user.locked("publisher").unwrap();
    assert!(output.stderr.contains(&format!("signed by the key {id}")), "{}", output.stderr);
    user.project.ok(&["diff", "--locked"]);
    let inspected = user.adapter_ok(&["inspect", "acme", "--config-file", "config.yml"]);
    assert!(inspected.stdout.contains(&format!("  Publisher   {id}\n")), "{}", inspected.stdout);

    // The rules change, and the lock file no longer suffices.
    let with = |more: &str| user.project.write("config.yml", &config(&origin, more));
    with(&trust(&registry.origin("other/*")));
    let output = user.project.run(&["diff"]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("`trust:` has no rule for the adapter"), "{}", output.stderr);
    with(&trust("*").replace(&ours, &theirs));
    let output = user.project.run(&["diff"]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains(&format!("is locked with the publisher {id}, and `trust:` wants another one")), "{}", output.stderr);
    // An update to what another key has signed is refused, and the lock file stays.
    with(&trust("*"));
    let before = user.project.read("infrahub-sync.lock.yml");
    push(4, &["--key", "theirs.key"]);
    assert_eq!(user.adapter(&["update", "--config-file", "config.yml"]).code, 4);
    assert_eq!(user.project.read("infrahub-sync.lock.yml"), before);
    user.project.ok(&["diff", "--locked"]);
    let output = author.adapter(&["pull", &origin, "--key", &ours]);
    assert_eq!(output.code, 4, "{}", output.stderr);
    author.adapter_ok(&["pull", &origin, "--key", &theirs]);
}

#[test]
fn a_registry_with_password_and_tls_wants_both() {
    let Some(registry) = Registry::start(Guarded { password: true, tls: true }) else { return };
    let origin = format!("{}:1", registry.origin("acme/board"));
    let mut machine = Machine::new(&origin);
    machine.write("board.wasm", &component("files"));
    let push = |machine: &Machine| machine.adapter(&["push", "board.wasm", &origin]);
    let output = push(&machine);
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(output.stderr.contains("name its authority in REQUESTS_CA_BUNDLE"), "{}", output.stderr);
    machine.project.set("REQUESTS_CA_BUNDLE", &tls_file("certificate.pem").display().to_string());
    let output = push(&machine);
    assert_eq!(output.code, 5);
    insta::assert_snapshot!(machine.shown(&output), @r"
    error: HOST wants credentials
        authentication required

    hint: log in with `docker login HOST`, or set DOCKER_AUTH_CONFIG to the JSON of its config.json
    ");
    let login = |password: &str| {
        let auth = BASE64.encode(format!("{USER}:{password}"));
        json!({"auths": {registry.host(): {"auth": auth}}}).to_string()
    };
    machine.project.set("DOCKER_AUTH_CONFIG", &login("wrong-secret-2"));
    let output = push(&machine);
    assert_eq!(output.code, 5);
    assert!(output.stderr.contains("rejects the credentials") && !output.stderr.contains("wrong-secret"), "{}", output.stderr);
    machine.project.set("DOCKER_AUTH_CONFIG", "");
    fs::create_dir_all(machine.project.path().join("home")).unwrap();
    machine.project.write("home/config.json", &login(PASSWORD));
    let output = push(&machine);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(!output.stderr.contains(PASSWORD));
    assert_eq!(machine.lock().code, 0);
    machine.project.ok(&["diff", "--locked"]);
    assert!(!machine.project.read("infrahub-sync.lock.yml").contains(PASSWORD));
}

#[test]
fn what_the_registry_damages_is_not_used() {
    let Some(registry) = Registry::start(Guarded::default()) else { return };
    let origin = format!("{}:1", registry.origin("acme/board"));
    let machine = Machine::new(&origin);
    machine.write("board.wasm", &component("files"));
    machine.adapter_ok(&["push", "board.wasm", &origin]);
    let digits = digest(&component("files")).replace("sha256:", "");
    let blob = registry.data().join("blobs/sha256").join(&digits[..2]).join(&digits).join("data");
    let good = fs::read(&blob).unwrap();
    fs::write(&blob, rebuilt(good[..good.len() - 5].to_vec(), 1)).unwrap();
    let output = machine.lock();
    assert_eq!((output.code, machine.stored()), (4, vec![]), "{}", output.stderr);
    insta::assert_snapshot!(machine.shown(&output), @r"
    error: `oci://HOST/acme/board:1` sent other bytes than it announced
        expected: sha256:…
        found:    sha256:…

    hint: the answer was damaged or changed on its way: try again, and report it to the registry if it stays
    ");
    fs::write(&blob, &good).unwrap();
    assert_eq!(machine.lock().code, 0);
    // A store that others may change does not count: the component is fetched again.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let stored = machine.stored().remove(0);
        fs::set_permissions(&stored, fs::Permissions::from_mode(0o666)).unwrap();
        machine.project.ok(&["diff"]);
        assert_eq!(fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&stored, fs::Permissions::from_mode(0o666)).unwrap();
        drop(registry);
        let output = machine.project.run(&["diff"]);
        assert_eq!(output.code, 5);
        assert!(output.stderr.contains("is not used: others may write to it; remove it"), "{}", output.stderr);
    }
}

#[test]
fn an_address_of_the_web_is_locked_by_its_digest() {
    let served = std::sync::Arc::new(std::sync::Mutex::new(component("files")));
    let bytes = served.clone();
    let server = Server::start(move |request| match request.path() {
        "/adapters/board.wasm" => Answer::ok(bytes.lock().unwrap().clone()).into(),
        _ => Answer::status(404).into(),
    });
    let origin = format!("{}/adapters/board.wasm", server.url());
    let machine = Machine::new(&origin);
    assert_eq!(machine.project.run(&["diff"]).code, 4);
    assert_eq!(server.count(), 0, "nothing is asked before it is locked");
    assert_eq!(machine.lock().code, 0);
    assert_eq!((machine.locked("origin"), machine.locked("manifest")), (Some(origin.clone()), None));
    machine.project.ok(&["diff", "--locked"]);
    *served.lock().unwrap() = rebuilt(component("files"), 1);
    machine.project.ok(&["diff", "--locked"]);
    // Another machine without the component.
    let other = Machine::new(&origin);
    other.project.write("infrahub-sync.lock.yml", &machine.project.read("infrahub-sync.lock.yml"));
    let output = other.project.run(&["diff"]);
    assert_eq!((output.code, other.stored()), (4, vec![]));
    assert!(output.stderr.contains("has another component now") && output.stderr.contains("adapter update"), "{}", output.stderr);
}

#[test]
fn two_versions_are_compared_with_what_they_may_do_first() {
    let machine = Machine::new("./x.wasm");
    let folder = machine.project.path();
    let write = |name: &str, bytes: &[u8]| fs::write(Path::new(folder).join(name), bytes).unwrap();
    write("old.wasm", &component("files"));
    let mut licensed = component("files");
    licensed.extend([0, 12, 8]);
    licensed.extend(b"licensesMIT");
    write("new.wasm", &licensed);
    write("other.wasm", &component("genericrestapi"));
    let compare = |old: &str, new: &str| machine.adapter_ok(&["inspect", old, new]).stdout;
    assert_eq!(compare("old.wasm", "old.wasm"), "The adapters are the same\n");
    let text = compare("old.wasm", "new.wasm");
    assert!(text.starts_with("Facts\n  digest: sha256:") && text.contains("licence: none → MIT"), "{text}");
    let text = compare("old.wasm", "other.wasm");
    assert!(text.starts_with("Abilities\n  + sends credentials "), "{text}");
    let inspected = machine.adapter_ok(&["inspect", "new.wasm"]).stdout;
    assert!(inspected.contains("  Licence     MIT\n"), "{inspected}");
}
