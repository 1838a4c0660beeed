//! Records responses of vcsim for the tests of the bindings.
//!
//! The recorder is a Go program in `xtask/peers/record`, which documents what it
//! records. This command builds it and runs it on the folder that the tests read.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::peers::{self, Lock, Peer, go};
use crate::process::run;
use crate::workspace;

/// The folder from which the tests of the bindings read.
const FOLDER: &str = "vim25/tests/data/vcsim";

/// Records the responses again.
///
/// # Errors
/// Fails when the recorder is not available here or fails to record.
pub(crate) fn start() -> Result<()> {
    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    let bin = peers::folder(&target).join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("make {}", bin.display()))?;
    match go::over_module(&Lock::read()?, "record", &bin)? {
        Peer::Missing { reason } => bail!("cannot record: {reason}"),
        Peer::Had { program, .. } => {
            let folder = workspace::root().join(FOLDER);
            println!("$ record -to {FOLDER}");
            run(Command::new(program).arg("-to").arg(&folder))?;
        }
    }
    println!(
        "look at what changed, and write down what is left out:\n\
         $ RECORDED=write cargo test -p vim25 --test recorded"
    );
    Ok(())
}
