//! Tests of the command against `vcsim`, an independent server whose guests report nothing.
//!
//! The tests start the program that `VCSIM` names, and are ignored by default.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A running vcsim, which exits when its standard input is closed.
struct Vcsim {
    server: String,
    program: Child,
    stdin: Option<ChildStdin>,
}

impl Vcsim {
    fn start(model: &[&str]) -> Self {
        let program = std::env::var_os("VCSIM").expect("VCSIM names the program");
        let user = ["-username", "root", "-password", "secret"];
        let mut program = Command::new(program)
            .args(["-l", "127.0.0.1:0", "-stdinexit"])
            .args(user)
            .args(model)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = program.stdin.take();
        let server = BufReader::new(program.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, address) = line.split_once("GOVC_URL=")?;
                let (_, place) = address.split_whitespace().next()?.rsplit_once('@')?;
                Some(place.split('/').next()?.to_owned())
            })
            .expect("vcsim prints its address");
        Self {
            server,
            program,
            stdin,
        }
    }

    /// Runs the command in a directory, and returns its output.
    fn vch(&self, directory: &std::path::Path, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_vch"))
            .args(arguments)
            .args(["--target", &self.server])
            .current_dir(directory)
            .env_clear()
            .env("GOVC_USERNAME", "root")
            .env("GOVC_PASSWORD", "secret")
            .env("GOVC_INSECURE", "true")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Creates, lists, inspects and deletes one host.
    fn create_ls_inspect_delete(&self, options: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        for image in ["appliance.iso", "bootstrap.iso"] {
            std::fs::write(directory.path().join(image), image).unwrap();
        }
        let run = |arguments: &[&str]| self.vch(directory.path(), arguments);
        let none = run(&["ls"]);
        let create = ["create", "--image-store", "LocalDS_0", "--timeout", "0"];
        let create: Vec<_> = create
            .into_iter()
            .chain(options.iter().copied())
            .chain(["vch-1"])
            .collect();
        assert!(run(&create).contains("Installer completed successfully"));
        let listed = run(&["ls"]);
        assert!(listed.contains("vch-1  running"), "{listed}");
        let shown = run(&["inspect", "vch-1"]);
        assert!(shown.contains("[LocalDS_0] vch-1"), "{shown}");
        assert!(run(&["delete", "vch-1"]).contains("Completed successfully"));
        assert_eq!(run(&["ls"]), none);
    }
}

impl Drop for Vcsim {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.program.wait();
    }
}

#[test]
#[ignore = "needs vcsim: VCSIM=path/to/vcsim"]
fn esxi() {
    // The bridge network is created, and deleted with the host.
    Vcsim::start(&["-esx"]).create_ls_inspect_delete(&[]);
}

#[test]
#[ignore = "needs vcsim: VCSIM=path/to/vcsim"]
fn vcenter() {
    let options = ["--compute-resource", "DC0_C0", "-b", "DC0_DVPG0"];
    Vcsim::start(&[]).create_ls_inspect_delete(&options);
}
