//! The stored form of each type of value.
//!
//! | kind | text | file |
//! | --- | --- | --- |
//! | `bool` | `true`, `false`; also accepts the other forms that Go accepts | `text` |
//! | integers | base 10 | `text` |
//! | `f32`, `f64` | Go's shortest `E` form: `3.14E+00` | `float` |
//! | `String` | unchanged; empty text as `<nil>` | `text` |
//! | `Duration` | nanoseconds | `time` |
//! | `jiff::Timestamp` | `2009-11-10 23:00:00 +0000 UTC` | `time` |
//! | `IpAddr`, bytes | base64 | `net`, `list` |
//! | `IpNet` | `key/IP`, `key/Mask`, each base64 | `net` |
//! | URL | one key per part | `url`, `web_url` |
//! | list of texts | `key` = last index, `key~` = elements joined with a bar | `list` |
//! | list of others | `key` = last index, `key\|N` each | `list` |
//! | map | `key` = sorted names joined with a bar, `key\|name` each | `map` |
//! | set | as a list, in order | `set` |
//! | tuple | `key/0`, `key/1` each | `tuple` |
//! | `Box` | as its content | `boxed` |
//! | `NonZero*`, `PathBuf`, `SocketAddr` | as text | `text` |
//! | `Option` | nothing for `None` | `option` |

mod boxed;
pub(crate) mod chunk;
mod float;
mod list;
mod map;
mod net;
mod option;
mod set;
pub(crate) mod text;
mod time;
mod tuple;
mod url;
#[cfg(feature = "url")]
mod web_url;
pub mod with;

pub use map::MapKey;
pub use net::NicAddress;
pub use url::GoUrl;
