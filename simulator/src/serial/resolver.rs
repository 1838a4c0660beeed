//! Looks up the hosts that serial ports connect to.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

/// Maximum number of concurrent lookups.
const LOOKUPS: usize = 16;

type Answer = Result<Arc<[SocketAddr]>, Arc<io::Error>>;
type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks up names with a bounded number of threads.
///
/// A lookup occupies a thread until the system answers. For a name that does not exist this may take
/// many seconds, and it cannot be cancelled. All machines of a container host connect to the same
/// name and try again every second, so concurrent lookups of one name share their answer. Otherwise
/// 500 machines would occupy all threads that the runtime has for blocking work.
pub(crate) struct Resolver {
    lookup: Arc<Lookup>,
    /// The lookups that have not ended, by name.
    running: Mutex<HashMap<String, watch::Receiver<Option<Answer>>>>,
    permits: Semaphore,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(|address| Ok(address.to_socket_addrs()?.collect()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    fn new(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Arc::new(lookup),
            running: Mutex::default(),
            permits: Semaphore::new(LOOKUPS),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Answer>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the addresses of `host:port`. Cancel-safe; a lookup that has begun continues.
    ///
    /// # Errors
    /// Those of the system's resolver.
    pub(super) async fn resolve(self: &Arc<Self>, address: &str) -> io::Result<Arc<[SocketAddr]>> {
        if let Ok(address) = address.parse() {
            return Ok([address].into());
        }
        let mut answer = self.join(address);
        let answer = answer.wait_for(Option::is_some).await;
        match answer.as_deref() {
            Ok(Some(Ok(addresses))) => Ok(Arc::clone(addresses)),
            Ok(Some(Err(error))) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            // The lookup's task was dropped.
            _ => Err(io::Error::other("the lookup was interrupted")),
        }
    }

    /// Returns the running lookup of an address, or starts one.
    fn join(self: &Arc<Self>, address: &str) -> watch::Receiver<Option<Answer>> {
        let mut running = self.running();
        if let Some(answer) = running.get(address)
            && answer.has_changed().is_ok()
        {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        running.insert(address.to_owned(), answer.clone());
        drop(running);
        let (this, address) = (Arc::clone(self), address.to_owned());
        tokio::spawn(async move {
            let permit = this.permits.acquire().await;
            let (lookup, asked) = (Arc::clone(&this.lookup), address.clone());
            let found = tokio::task::spawn_blocking(move || lookup(&asked)).await;
            drop(permit);
            let found = found.unwrap_or_else(|error| Err(io::Error::other(error)));
            this.running().remove(&address);
            sender.send_replace(Some(found.map(Into::into).map_err(Arc::new)));
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    const FOUND: ([u8; 4], u16) = ([192, 0, 2, 1], 8080);

    #[tokio::test(flavor = "multi_thread")]
    async fn ports_that_connect_to_one_name_share_a_lookup() {
        let lookups = Arc::new(AtomicUsize::new(0));
        let (answer, wait) = mpsc::channel::<()>();
        let (count, wait) = (Arc::clone(&lookups), Mutex::new(wait));
        let resolver = Arc::new(Resolver::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            wait.lock().unwrap().recv().unwrap();
            Ok(vec![FOUND.into()])
        }));
        let all = join_all((0..1_000).map(|_| resolver.resolve("vch:8080")));
        let answered = async {
            while lookups.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            answer.send(()).unwrap();
        };
        let (all, ()) = tokio::join!(all, answered);
        assert!(
            all.iter()
                .all(|found| **found.as_ref().unwrap() == [FOUND.into()])
        );
        assert_eq!(lookups.load(Ordering::Relaxed), 1);
        // A later attempt looks the name up again.
        answer.send(()).unwrap();
        resolver.resolve("vch:8080").await.unwrap();
        assert_eq!(lookups.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lookups_of_many_names_are_bounded() {
        let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let highest = Arc::clone(&most);
        let resolver = Arc::new(Resolver::new(move |address| {
            let running = now.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(running, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            Err(io::Error::new(io::ErrorKind::NotFound, address.to_owned()))
        }));
        let names: Vec<_> = (0..200).map(|n| format!("host-{n}:1")).collect();
        let all = join_all(names.iter().map(|name| resolver.resolve(name))).await;
        for (name, found) in names.iter().zip(all) {
            let error = found.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert_eq!(error.to_string(), *name);
        }
        assert!(most.load(Ordering::SeqCst) <= LOOKUPS);
        assert!(resolver.running().is_empty());
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let resolver = Arc::new(Resolver::new(|_| unreachable!()));
        let found = resolver.resolve("192.0.2.1:8080").await.unwrap();
        assert_eq!(*found, [FOUND.into()]);
    }
}
