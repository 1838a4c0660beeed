//! Prints an error for a user: what was attempted, followed by the chain of causes.

use std::error::Error;
use std::fmt;

/// An error whose `Display` prints it with its causes, one per line. A line omits text that a
/// previous line already contains.
#[derive(Debug)]
pub struct Report<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(f, "\n  because {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Self>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|inner| inner as _)
        }
    }

    #[test]
    fn each_cause_is_said_once() {
        let inner = Layer("connection refused", None);
        let same = Layer("cannot connect: connection refused", Some(Box::new(inner)));
        let outer = Layer("cannot install", Some(Box::new(same)));
        assert_eq!(
            Report(&outer).to_string(),
            "cannot install\n  because cannot connect: connection refused"
        );
    }
}
