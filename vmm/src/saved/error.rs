//! What can be wrong with a save.

use std::io;
use std::path::{Path, PathBuf};

/// A save that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// A file of it cannot be read or written.
    #[error("cannot {doing} {} of the saved machine", path.display())]
    File {
        /// Read or write.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what the save's description says.
    #[error("the saved machine is damaged: {} has {seen}, and {expected} were saved; make the save again", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is there.
        seen: String,
        /// What should be there.
        expected: String,
    },
    /// It is no save, or one of another version.
    #[error("{} is not a saved machine that this program can use: {problem}; make the save again", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is a save of another machine.
    #[error("the saved machine {} does not fit: {what} is {wanted} here, and was {saved} when it was saved; make a save for this machine", path.display())]
    Unfit {
        /// The save.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// As it should be.
        wanted: String,
        /// As it was saved.
        saved: String,
    },
    /// The guest did not stop itself.
    #[error("the guest was to stop itself for a save, and {seen}; its console ends with: {console}")]
    NotReached {
        /// What happened instead.
        seen: String,
        /// The end of the console.
        console: String,
    },
}

impl SavedError {
    pub(super) fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), source }
    }
}
