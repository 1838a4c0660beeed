//! Work on files of guests that the caller may not be able to access, because they belong to
//! subordinate ids. It is done in a user namespace with these ids, by a process of its own.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::{fs, iter};

use tether::sys::{IdRange, SubIds};

use crate::copy::copy;
use crate::probe::RootMethod;
use crate::rights::Rights;
use crate::sub_ids::rights;
use crate::tree::unpack;
use crate::work::remove;
use crate::write_back::collect;

/// Work on files of guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileJob {
    /// Deletes a directory.
    Remove(PathBuf),
    /// Unpacks the disk with these files into a directory.
    Unpack { to: PathBuf, chain: Vec<PathBuf> },
    /// Copies a tree to a new directory.
    Copy { from: PathBuf, to: PathBuf },
    /// Copies the owner and mode of a directory to another one.
    CopyOwner { from: PathBuf, to: PathBuf },
    /// Collects the changes of a container in the directory `spool`.
    Collect {
        spool: PathBuf,
        upper: PathBuf,
        method: RootMethod,
        chain: Vec<PathBuf>,
    },
}

impl FileJob {
    /// Does the work in this process.
    pub(crate) fn run(&self, rights: Rights) -> io::Result<()> {
        match self {
            Self::Remove(path) => remove(path),
            Self::Unpack { to, chain } => unpack(chain, to, rights),
            Self::Copy { from, to } => copy(from, to),
            Self::CopyOwner { from, to } => copy_owner(from, to),
            Self::Collect {
                spool,
                upper,
                method,
                chain,
            } => collect(spool, upper, *method, chain, rights),
        }
    }

    /// Returns the arguments of a process that does the work with these ids.
    pub(crate) fn arguments(&self, ids: &SubIds) -> Vec<OsString> {
        let numbers = [
            ids.uids.first,
            ids.uids.count,
            ids.gids.first,
            ids.gids.count,
        ];
        let mut arguments: Vec<OsString> = vec![
            ids.newuidmap.clone().into_os_string(),
            ids.newgidmap.clone().into_os_string(),
        ];
        arguments.extend(numbers.map(|number| number.to_string().into()));
        let (kind, paths): (_, Vec<&PathBuf>) = match self {
            Self::Remove(path) => ("remove", vec![path]),
            Self::Unpack { to, chain } => ("unpack", iter::once(to).chain(chain).collect()),
            Self::Copy { from, to } => ("copy", vec![from, to]),
            Self::CopyOwner { from, to } => ("copy-owner", vec![from, to]),
            Self::Collect {
                spool,
                upper,
                method,
                chain,
            } => {
                let kind = match method {
                    RootMethod::Overlay => "collect-overlay",
                    RootMethod::Copy => "collect-copy",
                    RootMethod::Chroot => "collect-chroot",
                };
                let paths = [spool, upper].into_iter().chain(chain);
                (kind, paths.collect())
            }
        };
        arguments.push(kind.into());
        arguments.extend(paths.into_iter().map(OsString::from));
        arguments
    }

    /// Reads the arguments of a process; `None` if they are not those of a job.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<(SubIds, Self)> {
        let arguments = &mut arguments;
        let (newuidmap, newgidmap) = (arguments.next()?, arguments.next()?);
        let mut range = || {
            let mut number = || arguments.next()?.to_str()?.parse().ok();
            Some(IdRange {
                first: number()?,
                count: number()?,
            })
        };
        let ids = SubIds::new(newuidmap, newgidmap, range()?, range()?);
        let kind = arguments.next()?.into_string().ok()?;
        let mut paths = arguments.map(PathBuf::from);
        let mut path = || paths.next();
        let job = match kind.as_str() {
            "remove" => Self::Remove(path()?),
            "unpack" => Self::Unpack {
                to: path()?,
                chain: paths.by_ref().collect(),
            },
            "copy" => Self::Copy {
                from: path()?,
                to: path()?,
            },
            "copy-owner" => Self::CopyOwner {
                from: path()?,
                to: path()?,
            },
            collect => Self::Collect {
                method: match collect {
                    "collect-overlay" => RootMethod::Overlay,
                    "collect-copy" => RootMethod::Copy,
                    "collect-chroot" => RootMethod::Chroot,
                    _ => return None,
                },
                spool: path()?,
                upper: path()?,
                chain: paths.by_ref().collect(),
            },
        };
        paths.next().is_none().then_some((ids, job))
    }

    /// Enters a user namespace with the ids and does the work. The process must be
    /// single-threaded.
    pub(crate) fn run_in_namespace(&self, ids: &SubIds) -> io::Result<()> {
        tether::sys::enter_user_namespace(ids).map_err(io::Error::other)?;
        self.run(rights(ids))
    }
}

fn copy_owner(from: &Path, to: &Path) -> io::Result<()> {
    let data = fs::metadata(from)?;
    match chown(to, Some(data.uid()), Some(data.gid())) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    fs::set_permissions(to, data.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_from_its_arguments() {
        let path = PathBuf::from;
        let range = |first, count| IdRange { first, count };
        let ids = SubIds::new("/newuidmap", "/newgidmap", range(1, 2), range(3, 4));
        let collect = |method| FileJob::Collect {
            spool: path("/spool"),
            upper: path("/upper"),
            method,
            chain: vec![path("/a"), path("/b c")],
        };
        for job in [
            FileJob::Remove(path("/a")),
            FileJob::Unpack {
                to: path("/to"),
                chain: vec![path("/a"), path("/b")],
            },
            FileJob::Copy {
                from: path("/from"),
                to: path("/to"),
            },
            FileJob::CopyOwner {
                from: path("/from"),
                to: path("/to"),
            },
            collect(RootMethod::Overlay),
            collect(RootMethod::Copy),
            collect(RootMethod::Chroot),
        ] {
            let arguments = job.arguments(&ids);
            let parsed = FileJob::parse(arguments.clone().into_iter());
            assert_eq!(parsed, Some((ids.clone(), job)));
            // Neither a shorter nor another list is accepted.
            assert_eq!(FileJob::parse(arguments.into_iter().take(6)), None);
        }
        assert_eq!(FileJob::parse(iter::empty()), None);
    }
}
