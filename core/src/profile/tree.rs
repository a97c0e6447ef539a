//! The call tree: which stacks were seen how often.

use super::frame::FrameId;
use super::pool::{Full, Pool};
use crate::limits::NODES_FOR_AN_END;
use alloc::vec::Vec;

/// A node's number in its tree. A node's parent always has the lower number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The root, which has no frame.
    pub const ROOT: NodeId = NodeId(0);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Edge {
    parent: u32,
    frame: u32,
}

/// The root's edge: no real frame has this number.
const ROOT_EDGE: Edge = Edge { parent: u32::MAX, frame: u32::MAX };

/// The number of the frame that ends a cut path.
const ELIDED: FrameId = FrameId(0);

/// One call path: its last frame, the path that leads there, and the samples that ended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The path without its last frame; the root is its own parent.
    pub parent: NodeId,
    /// The last frame; `None` for the root alone.
    pub frame: Option<FrameId>,
    /// Samples whose leaf this is.
    pub own: u64,
}

/// Call paths from the root to the leaf, as nodes of a tree with a fixed bound.
#[derive(Clone, Debug)]
pub struct CallTree {
    edges: Pool<Edge>,
    own: Vec<u64>,
    limit: usize,
}

impl CallTree {
    /// A tree of at most `limit` nodes, the root (which is always there) included.
    pub fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        let mut edges = Pool::new(limit);
        // The root always fits.
        let _ = edges.intern(ROOT_EDGE);
        let mut own = Vec::with_capacity(limit);
        own.push(0);
        CallTree { edges, own, limit }
    }

    /// The node for `frame` called from `parent`.
    pub fn child(&mut self, parent: NodeId, frame: FrameId) -> Result<NodeId, Full> {
        self.child_within(self.limit, parent, frame)
    }

    /// The same while a profile is recorded: the ends of cut paths, and roots, have room where others have none.
    pub(super) fn path(&mut self, parent: NodeId, frame: FrameId) -> Result<NodeId, Full> {
        let kept = match (parent, frame) {
            (NodeId::ROOT, ELIDED) => 0,
            (NodeId::ROOT, _) => 1,
            (_, ELIDED) => self.limit / NODES_FOR_AN_END / 2,
            _ => self.limit / NODES_FOR_AN_END,
        };
        self.child_within(self.limit - kept, parent, frame)
    }

    /// Where a path ends that is cut below `node`: in the frame that stands for the rest, or where that has no
    /// room in a caller's.
    pub(super) fn end(&mut self, mut node: NodeId) -> NodeId {
        while self.node(node).frame != Some(ELIDED) {
            match self.path(node, ELIDED) {
                Err(Full) if node != NodeId::ROOT => node = self.node(node).parent,
                end => return end.unwrap_or(node),
            }
        }
        node
    }

    fn child_within(&mut self, limit: usize, parent: NodeId, frame: FrameId) -> Result<NodeId, Full> {
        let number = self.edges.intern_within(limit, Edge { parent: parent.0, frame: frame.0 })?;
        if number as usize == self.own.len() {
            self.own.push(0);
        }
        Ok(NodeId(number))
    }

    /// Counts samples that end in `node`.
    pub fn count(&mut self, node: NodeId, samples: u64) {
        if let Some(own) = self.own.get_mut(node.0 as usize) {
            *own += samples;
        }
    }

    /// Number of nodes, the root included.
    pub fn len(&self) -> usize {
        self.own.len()
    }

    /// Never: the root is always there.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// A node by its number; the root for a number that is not from here.
    pub fn node(&self, id: NodeId) -> Node {
        let number = id.0 as usize;
        match self.edges.values().get(number) {
            Some(edge) if number > 0 => {
                Node { parent: NodeId(edge.parent), frame: Some(FrameId(edge.frame)), own: self.own[number] }
            }
            _ => Node { parent: NodeId::ROOT, frame: None, own: self.own[0] },
        }
    }

    /// All nodes in the order of their numbers: parents before children, the root first.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node> + DoubleEndedIterator + '_ {
        (0..self.len() as u32).map(|number| self.node(NodeId(number)))
    }

    /// How often a new path found the tree full.
    pub fn refused(&self) -> u64 {
        self.edges.refused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_paths_share_a_node_and_parents_come_first() {
        let mut tree = CallTree::new(10);
        let a = tree.child(NodeId::ROOT, FrameId(5)).unwrap();
        let b = tree.child(a, FrameId(5)).unwrap();
        assert_ne!(a, b);
        assert_eq!(tree.child(NodeId::ROOT, FrameId(5)), Ok(a));
        tree.count(b, 3);
        assert_eq!(tree.node(b), Node { parent: a, frame: Some(FrameId(5)), own: 3 });
        assert!(tree.nodes().enumerate().all(|(number, node)| node.parent.0 as usize <= number));
    }

    #[test]
    fn a_full_tree_refuses_new_paths_and_still_counts_known_ones() {
        let mut tree = CallTree::new(2);
        let a = tree.child(NodeId::ROOT, FrameId(1)).unwrap();
        assert_eq!(tree.child(a, FrameId(1)), Err(Full));
        tree.count(a, 2);
        assert_eq!((tree.node(a).own, tree.refused()), (2, 1));
    }
}
