//! The optional parts: the async adapters and the command.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod asynchronous;
mod command;

/// Returns a tar of regular files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_mtime(1_600_000_000);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, path, *data).unwrap();
    }
    tar.into_inner().unwrap()
}
