//! Measures containers: the calls and the processor time of their lives, many at a time, and lists,
//! and compares the figures with their targets:
//!
//! ```console
//! $ cargo bench -p portlayer --bench exec
//! ```
//!
//! The endpoint is our simulator, in a process of its own, so "own" processor time is that of the
//! port layer and the client. `LIVES`, `AT_ONCE` and `CONTAINERS` change the sizes. With
//! `CALLS=1`, the calls of a life are listed by method; with `LOG=1`, every call is logged with its
//! time and object. `ONLY=life`, `lives`, `many` or `lists` measures one part: the calls of one life,
//! lives one after the other, many containers at once, or lists.
//!
//! On 2026-11-28, on two idle cores (load 1.6 before). During the lists something else ran too, so that
//! the time that passed says little; the list took 1.65 s before, with the same processor time:
//!
//! | measure | target | found | |
//! | --- | --- | --- | --- |
//! | calls of create, start, wait, stop, inspect and remove, ESXi | 14 | 13, and 7 to 8 of the shared poll | met |
//! | the same on a vCenter, where machines are protected from others | 14 | 15, and 7 to 8 | missed |
//! | calls of create and start beyond the shared poll, ESXi | 4 | 4 | met |
//! | the same on a vCenter | 5 | 5 | met |
//! | requests of a life of a process that is killed, the polls included | 14 | 20.9 | missed |
//! | own processor time of it | 5 ms | 5.4 ms, of 13.4 ms that pass | missed |
//! | requests of a life of a process that ends, the polls included | 14 | 16.0 | missed |
//! | own processor time of it | 5 ms | 3.8 ms, of 12.0 ms that pass | met |
//! | 1,000 containers created and started, 64 in flight | none over 2 times the median | median 247 ms, longest 398 ms | met |
//! | requests for each of them, the poll included | 6 | 2.2 | met |
//! | list of 10,000 containers of 57 keys with an index to be filled | 300 ms | 2.5 s; 1.47 s own processor time and 0.67 s the endpoint's, for 101 polls | missed |
//! | list of 10,000 containers with a warm index | 5 ms | 0.07 ms | met |
//! | memory of the index, 10,000 containers of 55 keys | 40 MiB, for 30 keys | 49 MiB | missed |
//! | the same, of 57 keys | 40 MiB, for 30 keys | 60 MiB | missed |
//!
//! The requests of a life, by the only writer of a host on ESXi, without what comes only once:
//!
//! | operation | requests | reason |
//! | --- | --- | --- |
//! | create | `CreateVM_Task`, `ModifyListView`, poll | the task is added to the view of tasks; the poll reports the new machine and the end of the task |
//! | start | `PowerOnVM_Task`, `ModifyListView`, poll | the same |
//! | | poll | the guest reports that the process runs, unless the poll before reports that, too; no report of a guest is delayed, so the start of the next task has a poll of its own |
//! | wait | poll, if the process ends by itself | its exit status, and that its machine is off |
//! | stop, if the process runs | `PowerOffVM_Task`, `ModifyListView`, poll | that it runs is known from the index |
//! | | `ReconfigVM_Task`, `ModifyListView`, poll | only this program knows that it has killed the process, so it records that |
//! | inspect | | answered by the index |
//! | remove | `RetrievePropertiesEx` | the devices: a disk with a parent has to be detached first |
//! | | `Destroy_Task`, `ModifyListView`, poll | |
//! | | `DeleteDatastoreFile_Task`, `ModifyListView`, poll | the log, which the endpoint keeps when it destroys the machine |
//!
//! Without the polls, that is 13 of a process that is killed, and 9 of one that ends, as the tests assert. On a
//! busy machine there are more polls, because the changes of a task arrive in several responses.
//!
//! The processor time of a life is spread widely: 17 % are the kernel's, 21 % are the C library's (the
//! allocator and copies), and no other function has more than 2.2 %. So it follows the number of
//! requests.
//!
//! The memory is what the process gained by the first list, so it includes what the allocator keeps.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

mod lists;
mod lives;
mod server;
#[path = "../table/mod.rs"]
mod table;

use lists::Kind;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // `cargo test --benches` only checks that the bench builds.
        Some("--test") | None => {}
        Some("serve") => server::run(&arguments[1]),
        Some("list") => lists::run(&arguments[1], &arguments[2]),
        Some(_) => compare(),
    }
}

fn compare() {
    if std::env::var_os("LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter("vsphere_client=debug")
            .with_writer(std::io::stderr)
            .init();
    }
    table::surroundings();
    table::head();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // In a task, as in a front end: a future that is blocked on moves between threads.
    let measured = runtime.spawn(async {
        let only = std::env::var("ONLY").unwrap_or_default();
        let is_wanted = |part| only.is_empty() || only == part;
        if is_wanted("life") {
            lives::life("esx").await;
            lives::life("vcenter").await;
        }
        if is_wanted("lives") {
            lives::one_after_the_other().await;
        }
        if is_wanted("many") {
            lives::calls("esx", 4).await;
            lives::calls("vcenter", 5).await;
            lives::at_once().await;
        }
        if is_wanted("lists") {
            lists::measure(Kind::Plain).await;
            lists::measure(Kind::Labelled).await;
        }
    });
    runtime.block_on(measured).unwrap();
    println!("\nload after: {}", table::load());
}
