//! A real registry on loopback: Debian's `docker-registry`, which `tests/live/registry.sh` unpacks.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::live::root;

/// The time to start. It takes two seconds on an idle machine.
const START_TIME: Duration = Duration::from_secs(120);
/// The user and the password of a registry that wants them.
pub const USER: &str = "robot";
/// See [`USER`].
pub const PASSWORD: &str = "registry-secret-1";
/// The line of htpasswd for both.
const HTPASSWD: &str = "robot:$2b$05$abcdefghijklmnopqrstuufx8w9YWk4FDAg9K.ahx2lH.td.gnKI6\n";

/// How a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guarded {
    /// It wants user and password.
    pub password: bool,
    /// It speaks HTTPS.
    pub tls: bool,
}

/// A registry that runs as long as the value lives.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// Starts a registry. None: it cannot be had on this machine; stderr says why.
    ///
    /// # Panics
    /// When it can be had and does not start.
    #[must_use]
    pub fn start(guarded: Guarded) -> Option<Registry> {
        let program = program()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let mut http = format!("http:\n  addr: \"127.0.0.1:{port}\"\n");
        if guarded.tls {
            let [certificate, key] = ["certificate.pem", "key.pem"].map(tls_file);
            http += &format!("  tls: {{certificate: \"{}\", key: \"{}\"}}\n", certificate.display(), key.display());
        }
        let mut config =
            format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\n{http}", folder.path().join("data").display());
        if guarded.password {
            let file = folder.path().join("htpasswd");
            std::fs::write(&file, HTPASSWD).expect("htpasswd");
            config += &format!("auth: {{htpasswd: {{realm: test, path: \"{}\"}}}}\n", file.display());
        }
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).expect("the registry's configuration");
        let log = std::fs::File::create(folder.path().join("log")).expect("the registry's log");
        let process = Command::new(program)
            .arg("serve")
            .arg(file)
            .env_remove("OTEL_TRACES_EXPORTER")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the registry's log"))
            .stderr(log)
            .spawn()
            .expect("the registry starts");
        let mut registry = Registry { process, folder, port };
        registry.wait();
        Some(registry)
    }

    fn wait(&mut self) {
        let end = Instant::now() + START_TIME;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().ok().flatten();
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < end, "the registry does not listen: {ended:?}\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the origin of a repository, as `oci://127.0.0.1:1234/acme/board`.
    #[must_use]
    pub fn origin(&self, repository: &str) -> String {
        format!("oci://{}/{repository}", self.host())
    }

    /// Returns host and port.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the folder of its files, as a registry keeps them.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data/docker/registry/v2")
    }
}

/// Returns a file of the certificates that the tests share.
#[must_use]
pub fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/runtime/tests/tls").join(name)
}

/// Returns the program, which is downloaded if it is missing.
#[allow(clippy::print_stderr, reason = "a test that cannot run on this machine says so")]
fn program() -> Option<PathBuf> {
    let output = Command::new(root().join("tests/live/registry.sh")).arg("install").output().expect("tests/live/registry.sh runs");
    if output.status.success() {
        return Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(77), "{said}");
    eprintln!("SKIPPED: no registry: {}", said.trim());
    None
}
