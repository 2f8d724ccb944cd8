//! Lists of a kernel (`struct list_head`), walked from outside.

use crate::error::ReadError;
use crate::page_table::Gva;

/// The two pointers of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) next: Gva,
    pub(crate) prev: Gva,
}

/// How a walk ended, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// At the head, where it began.
    Complete,
    /// At the most nodes that one walk visits.
    TooLong,
    /// At a node that does not point back: the guest changed the list meanwhile, or it is damaged.
    Torn,
}

/// Visits each node behind `from`, whose pointers are `links`, until `head`. `visit` reads a node and gives its pointers. A node counts only if
/// it points back to the one before: one that was removed does not, and a list that leads into another one does not.
pub(crate) fn walk(
    head: Gva,
    from: Gva,
    next: Gva,
    most: usize,
    mut visit: impl FnMut(Gva) -> Result<Links, ReadError>,
) -> Result<End, ReadError> {
    let (mut before, mut node) = (from, next);
    for _ in 0..most {
        if node == head {
            return Ok(End::Complete);
        }
        // Nodes that point back and lead round without the head.
        if node == from {
            return Ok(End::Torn);
        }
        let links = visit(node)?;
        if links.prev != before {
            return Ok(End::Torn);
        }
        (before, node) = (node, links.next);
    }
    Ok(End::TooLong)
}
