//! The write order of kinds that refer to one another: tiers, and the fields that have to wait.
//!
//! Pure graph work over indices, linear in kinds and references. An edge A → B says that a field of A refers to B, so B is
//! written first. In a cycle some edge has to give: never one whose field identifies A, preferably one whose field may be empty.

/// How badly an edge has to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// The field may be empty: it can wait for a second pass.
    Optional,
    /// The destination wants a value, so an object can hardly be created without.
    Mandatory,
    /// The field is part of the natural key: it can never wait.
    Identifier,
}

/// A field of the kind `from` refers to the kind `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) strength: Strength,
}

/// The result of [`tiers`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tiers {
    /// The tier of each kind; 0 is written first.
    pub(super) tiers: Vec<u32>,
    /// The edges that are written in a second pass, as indices, ascending.
    pub(super) deferred: Vec<usize>,
}

/// Computes tiers.
///
/// The kinds of a cycle are lined up by their mandatory edges, and where those form a cycle too by their identifiers alone; an edge
/// that still points to a later kind is deferred. So edges outside of cycles are never deferred, and of a cycle as few as the
/// line-up needs.
///
/// # Errors
///
/// A cycle of identifiers, as the edges on it.
pub(super) fn tiers(kinds: usize, edges: &[Edge]) -> Result<Tiers, Vec<usize>> {
    let mut graph = Graph::new(kinds, edges);
    let line = graph.line_up((0..kinds).collect(), Strength::Optional)?;
    let mut positions = vec![0; kinds];
    for (position, kind) in line.iter().enumerate() {
        positions[*kind] = position;
    }
    let is_deferred = |edge: &Edge| edge.from != edge.to && positions[edge.to] > positions[edge.from];
    let mut tiers = vec![0_u32; kinds];
    for kind in line {
        let below = graph.outgoing[kind].iter().map(|edge| &edges[*edge]).filter(|edge| edge.to != kind && !is_deferred(edge));
        tiers[kind] = below.map(|edge| tiers[edge.to] + 1).max().unwrap_or(0);
    }
    let deferred = edges.iter().enumerate().filter(|(_, edge)| is_deferred(edge)).map(|(index, _)| index).collect();
    Ok(Tiers { tiers, deferred })
}

struct Graph<'a> {
    edges: &'a [Edge],
    /// Edge indices by the kind they leave.
    outgoing: Vec<Vec<usize>>,
    /// The part of the graph that a kind is looked at in: edges between two parts do not count.
    part: Vec<usize>,
    parts: usize,
}

impl<'a> Graph<'a> {
    fn new(kinds: usize, edges: &'a [Edge]) -> Self {
        let mut outgoing = vec![Vec::new(); kinds];
        for (index, edge) in edges.iter().enumerate() {
            outgoing[edge.from].push(index);
        }
        Graph { edges, outgoing, part: vec![0; kinds], parts: 1 }
    }

    /// Returns whether an edge counts among edges of at least this strength.
    fn counts(&self, edge: &Edge, weakest: Strength) -> bool {
        edge.strength >= weakest && edge.from != edge.to && self.part[edge.from] == self.part[edge.to]
    }

    /// Orders kinds of one part so that edges of at least `weakest` point backwards, except where they form cycles: there stronger
    /// edges alone decide.
    fn line_up(&mut self, kinds: Vec<usize>, weakest: Strength) -> Result<Vec<usize>, Vec<usize>> {
        let mut line = Vec::with_capacity(kinds.len());
        for component in self.components(&kinds, weakest) {
            if component.len() == 1 {
                line.extend(component);
                continue;
            }
            // A part of its own: edges to the rest are in order already.
            for kind in &component {
                self.part[*kind] = self.parts;
            }
            self.parts += 1;
            let stronger = match weakest {
                Strength::Optional => Strength::Mandatory,
                Strength::Mandatory => Strength::Identifier,
                Strength::Identifier => return Err(self.cycle(&component)),
            };
            line.extend(self.line_up(component, stronger)?);
        }
        Ok(line)
    }

    /// Strongly connected components, each after those it points to; kinds of a component in ascending order.
    ///
    /// Tarjan's algorithm with its own stack: the depth of a chain of references must not be the depth of ours.
    fn components(&self, kinds: &[usize], weakest: Strength) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let mut number = vec![UNSEEN; self.outgoing.len()];
        let mut lowest = vec![0; self.outgoing.len()];
        let mut on_stack = vec![false; self.outgoing.len()];
        let (mut stack, mut components, mut next) = (Vec::new(), Vec::new(), 0);
        for &root in kinds {
            if number[root] != UNSEEN {
                continue;
            }
            // A kind and how many of its edges were followed.
            let mut path = vec![(root, 0)];
            while let Some(&mut (kind, ref mut followed)) = path.last_mut() {
                if *followed == 0 && number[kind] == UNSEEN {
                    number[kind] = next;
                    lowest[kind] = next;
                    next += 1;
                    stack.push(kind);
                    on_stack[kind] = true;
                }
                if let Some(edge) = self.outgoing[kind].get(*followed) {
                    *followed += 1;
                    let edge = &self.edges[*edge];
                    if !self.counts(edge, weakest) {
                        continue;
                    }
                    if number[edge.to] == UNSEEN {
                        path.push((edge.to, 0));
                    } else if on_stack[edge.to] {
                        lowest[kind] = lowest[kind].min(number[edge.to]);
                    }
                    continue;
                }
                path.pop();
                if let Some((parent, _)) = path.last() {
                    lowest[*parent] = lowest[*parent].min(lowest[kind]);
                }
                if lowest[kind] == number[kind] {
                    let from = stack.iter().rposition(|member| *member == kind).unwrap_or(0);
                    let mut component = stack.split_off(from);
                    for member in &component {
                        on_stack[*member] = false;
                    }
                    component.sort_unstable();
                    components.push(component);
                }
            }
        }
        components
    }

    /// Returns a cycle of identifiers inside a component, as edges: from its first kind along the first edge that stays inside.
    fn cycle(&self, component: &[usize]) -> Vec<usize> {
        let mut at = component.first().copied().unwrap_or_default();
        let mut seen = std::collections::HashMap::new();
        let mut walked: Vec<usize> = Vec::new();
        loop {
            if let Some(start) = seen.insert(at, walked.len()) {
                return walked.split_off(start);
            }
            let inside = |edge: &&usize| self.counts(&self.edges[**edge], Strength::Identifier);
            // Every kind of a component has such an edge.
            let Some(edge) = self.outgoing[at].iter().find(inside) else {
                return walked;
            };
            walked.push(*edge);
            at = self.edges[*edge].to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Strength::{Identifier, Mandatory, Optional};
    use super::*;

    fn run(kinds: usize, edges: &[(usize, usize, Strength)]) -> Result<(Vec<u32>, Vec<usize>), Vec<usize>> {
        let edges: Vec<Edge> = edges.iter().map(|&(from, to, strength)| Edge { from, to, strength }).collect();
        tiers(kinds, &edges).map(|tiers| (tiers.tiers, tiers.deferred))
    }

    #[test]
    fn a_chain_has_one_tier_per_kind() {
        assert_eq!(run(3, &[(0, 1, Optional), (1, 2, Identifier)]), Ok((vec![2, 1, 0], vec![])));
    }

    #[test]
    fn a_self_reference_is_no_edge() {
        assert_eq!(run(1, &[(0, 0, Identifier)]), Ok((vec![0], vec![])));
    }

    #[test]
    fn a_cycle_gives_up_the_optional_edge() {
        // Device.primary_ip is optional, Ip.interface mandatory, Interface.device identifies.
        let edges = [(0, 1, Optional), (1, 2, Mandatory), (2, 0, Identifier)];
        assert_eq!(run(3, &edges), Ok((vec![0, 2, 1], vec![0])));
    }

    #[test]
    fn a_cycle_of_optional_edges_gives_up_one() {
        let (tiers, deferred) = run(2, &[(0, 1, Optional), (1, 0, Optional)]).unwrap();
        assert_eq!((tiers, deferred), (vec![0, 1], vec![0]));
    }

    #[test]
    fn a_cycle_of_mandatory_edges_keeps_the_identifier() {
        assert_eq!(run(2, &[(0, 1, Identifier), (1, 0, Mandatory)]), Ok((vec![1, 0], vec![1])));
    }

    #[test]
    fn a_cycle_of_identifiers_is_named() {
        let edges = [(0, 1, Identifier), (1, 2, Identifier), (2, 1, Identifier), (2, 0, Optional)];
        assert_eq!(run(3, &edges), Err(vec![1, 2]));
    }

    #[test]
    fn edges_outside_of_a_cycle_stay() {
        // 0 ⇄ 1, both → 2, 3 → 0.
        let edges = [(0, 1, Optional), (1, 0, Identifier), (0, 2, Optional), (1, 2, Optional), (3, 0, Optional)];
        assert_eq!(run(4, &edges), Ok((vec![1, 2, 0, 2], vec![0])));
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let kinds = 200_000;
        let edges: Vec<_> = (0..kinds - 1).map(|kind| (kind, kind + 1, Optional)).collect();
        let (tiers, deferred) = run(kinds, &edges).unwrap();
        assert_eq!((tiers[0], deferred.len()), (199_999, 0));
    }

    #[test]
    fn kept_edges_point_to_lower_tiers() {
        // Deterministic pseudo-random graphs; identifiers only downwards, so that there is always an answer.
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..500 {
            let kinds = 1 + random(12);
            let edges: Vec<Edge> = (0..random(40))
                .map(|_| {
                    let (from, to) = (random(kinds), random(kinds));
                    let strength = [Optional, Mandatory, Identifier][random(if from > to { 3 } else { 2 })];
                    Edge { from, to, strength }
                })
                .collect();
            let result = tiers(kinds, &edges).unwrap();
            for (index, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.from != edge.to) {
                if result.deferred.contains(&index) {
                    assert_ne!(edge.strength, Identifier);
                } else {
                    assert!(result.tiers[edge.from] > result.tiers[edge.to]);
                }
            }
        }
    }
}
