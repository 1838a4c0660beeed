//! Debian's registry on loopback, and an image of Debian's packages in it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tar::{Builder, EntryType, Header};

/// The packages whose files are in the image: programs, links, documents, and hard links.
const PACKAGES: [&str; 4] = ["base-files", "bash", "coreutils", "perl-base"];

/// A registry; dropping it stops it.
pub(crate) struct Registry {
    address: String,
    folder: tempfile::TempDir,
    server: Child,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // If another program takes the port in between, the registry and the test fail.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let address = address.unwrap().to_string();
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: \
             '{}'}}}}\nhttp: {{addr: '{address}'}}\n",
            storage.display()
        );
        fs::write(&config, text).unwrap();
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            address,
            folder,
            server,
        };
        let start = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "docker-registry does not listen"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        registry
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Pushes an image, and returns its name and the directory to which umoci unpacked it.
    pub(crate) fn push_debian(&self) -> (String, PathBuf) {
        let layout = self.folder().join("layout");
        let image = format!("{}:1", layout.display());
        run("umoci", &["init", "--layout", layout.to_str().unwrap()]);
        run("umoci", &["new", "--image", &image]);
        for (number, layer) in [packages(), special(), changes()].into_iter().enumerate() {
            let path = self.folder().join(format!("{number}.tar"));
            fs::write(&path, layer).unwrap();
            let path = path.to_str().unwrap();
            run("umoci", &["raw", "add-layer", "--image", &image, path]);
        }
        let config = ["config", "--image", &image, "--config.cmd", "/bin/bash"];
        let platform = ["--os", "linux", "--architecture", "amd64"];
        run("umoci", &[&config[..], &platform].concat());
        let name = format!("{}/lab/debian:1", self.address);
        let (from, to) = (format!("oci:{image}"), format!("docker://{name}"));
        let options = ["copy", "--quiet", "--insecure-policy"];
        let plain = ["--dest-tls-verify=false", &from, &to];
        run("skopeo", &[&options[..], &plain].concat());
        let theirs = self.folder().join("theirs");
        let target = theirs.to_str().unwrap();
        run("umoci", &["raw", "unpack", "--image", &image, target]);
        (name, theirs)
    }
}

/// Returns a layer with the installed files of some packages.
fn packages() -> Vec<u8> {
    let list = run("dpkg-query", &[&["-L"], &PACKAGES[..]].concat());
    // The list also has lines about diversions.
    let paths = list.lines().filter(|line| line.starts_with('/'));
    let mut paths: Vec<_> = paths.map(PathBuf::from).collect();
    paths.sort();
    paths.dedup();
    let mut tar = Builder::new(Vec::new());
    tar.follow_symlinks(false);
    for path in paths {
        // On a system with merged directories, /bin/x is /usr/bin/x.
        let name = path.strip_prefix("/").unwrap().to_owned();
        let merged = ["bin", "sbin", "lib", "lib64"];
        let is_merged = merged.iter().any(|top| name.starts_with(top));
        // Documents may have been excluded from the installation.
        if name.as_os_str().is_empty() || is_merged || fs::symlink_metadata(&path).is_err() {
            continue;
        }
        tar.append_path_with_name(&path, &name).unwrap();
    }
    tar.into_inner().unwrap()
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    header.set_size(0);
    header
}

/// Returns a layer with a file of every type.
fn special() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut add = |path: &str, mut header: Header, data: &[u8]| {
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, path, data).unwrap();
    };
    add("srv", header(EntryType::Directory, 0o1777), b"");
    add("srv/suid", header(EntryType::Regular, 0o4755), b"suid");
    let mut owned = header(EntryType::Regular, 0o640);
    owned.set_uid(1000);
    owned.set_gid(65_534);
    add("srv/owned", owned, &[7; 300_000]);
    add("srv/fifo", header(EntryType::Fifo, 0o600), b"");
    let mut null = header(EntryType::Char, 0o666);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    add("srv/null", null, b"");
    add("srv/gone", header(EntryType::Directory, 0o755), b"");
    add("srv/gone/a", header(EntryType::Regular, 0o644), b"a");
    add("srv/opaque", header(EntryType::Directory, 0o755), b"");
    add("srv/opaque/a", header(EntryType::Regular, 0o644), b"a");
    for (path, kind, target) in [
        ("srv/second", EntryType::Link, "srv/suid"),
        ("srv/link", EntryType::Symlink, "../etc/debian_version"),
    ] {
        let mut header = header(kind, 0o777);
        tar.append_link(&mut header, path, target).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Returns a layer that removes and replaces files.
fn changes() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, kind, data) in [
        ("srv/.wh.gone", EntryType::Regular, &b""[..]),
        ("srv/opaque", EntryType::Directory, b""),
        ("srv/opaque/.wh..wh..opq", EntryType::Regular, b""),
        ("srv/opaque/b", EntryType::Regular, b"b"),
        ("srv/owned", EntryType::Directory, b""),
        ("srv/owned/now-a-directory", EntryType::Regular, b"x"),
    ] {
        let mode = if kind == EntryType::Directory {
            0o755
        } else {
            0o644
        };
        let mut header = header(kind, mode);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, path, data).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Runs a program and returns its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    let status = output.status;
    assert!(
        status.success(),
        "{program} {arguments:?}: {status}\n{printed}{errors}"
    );
    printed
}
