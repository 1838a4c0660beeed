#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use std::time::Duration;

use super::*;
use crate::exec::Command;
use crate::memory::Behaviour;

fn spec(name: &str) -> ContainerSpec {
    ContainerSpec::new(name, Command::new("/run"))
}

#[tokio::test(start_paused = true)]
async fn a_process_ends_when_its_behaviour_says() {
    let exec =
        MemoryExec::new(|_: &ContainerSpec| Behaviour::exits(3).after(Duration::from_secs(60)));
    let id = exec.create(spec("a")).await.unwrap();
    assert_eq!(
        exec.start(&id, StartOptions::new()).await.unwrap(),
        State::Running
    );
    let begun = Instant::now();
    assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::Code(3));
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_an_earlier_run_does_not_end_a_later_one() {
    let exec =
        MemoryExec::new(|_: &ContainerSpec| Behaviour::exits(3).after(Duration::from_secs(60)));
    let id = exec.create(spec("a")).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(exec.inspect(&id).await.unwrap().state, State::Running);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_signals_is_cut_off_after_the_grace() {
    let exec = MemoryExec::new(|_: &ContainerSpec| Behaviour::runs().ignoring_signals());
    let id = exec.create(spec("a")).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    let begun = Instant::now();
    let exit = exec.stop(&id, StopOptions::default()).await.unwrap();
    assert_eq!(exit, ExitStatus::KILLED);
    assert_eq!(begun.elapsed(), StopOptions::default().grace);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_dropped_can_be_asked_for_again() {
    let exec = MemoryExec::new(|_: &ContainerSpec| Behaviour::runs().ignoring_signals());
    let id = exec.create(spec("a")).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    let stop = exec.stop(&id, StopOptions::default());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), stop)
            .await
            .is_err()
    );
    assert_eq!(exec.inspect(&id).await.unwrap().state, State::Running);
    exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
    assert_eq!(
        exec.inspect(&id).await.unwrap().state.kind(),
        StateKind::Stopped
    );
}
