//! Ways through a plan: its inputs, its expressions, the relations that it reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Aggregate, Plan};
use crate::engine::expr::{Expr, Subquery};

impl Plan {
    /// The inputs of the operator.
    pub fn inputs(&self) -> Vec<&Plan> {
        match self {
            Plan::Get { .. } | Plan::Constant { .. } => Vec::new(),
            Plan::Project { input, .. }
            | Plan::Filter { input, .. }
            | Plan::Window { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Distinct { input }
            | Plan::Number { input, .. }
            | Plan::TopK { input, .. } => vec![input],
            Plan::UnionAll { inputs } => inputs.iter().collect(),
            Plan::Join { left, right, .. } => vec![left, right],
        }
    }

    /// The inputs of the operator, to change them.
    pub fn inputs_mut(&mut self) -> Vec<&mut Plan> {
        match self {
            Plan::Get { .. } | Plan::Constant { .. } => Vec::new(),
            Plan::Project { input, .. }
            | Plan::Filter { input, .. }
            | Plan::Window { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Distinct { input }
            | Plan::Number { input, .. }
            | Plan::TopK { input, .. } => vec![input],
            Plan::UnionAll { inputs } => inputs.iter_mut().collect(),
            Plan::Join { left, right, .. } => vec![left, right],
        }
    }

    /// The operator's own expressions.
    pub fn exprs(&self) -> Vec<&Expr> {
        match self {
            Plan::Get { .. }
            | Plan::Constant { .. }
            | Plan::Distinct { .. }
            | Plan::UnionAll { .. } => Vec::new(),
            Plan::Project { columns, .. } => columns.iter().collect(),
            Plan::Filter { predicate, .. } => vec![predicate],
            Plan::Window {
                from_ms, until_ms, ..
            } => from_ms.iter().chain(until_ms).collect(),
            Plan::Aggregate {
                keys, aggregates, ..
            } => keys
                .iter()
                .chain(aggregates.iter().flat_map(Aggregate::exprs))
                .collect(),
            Plan::TopK { order, .. } => order.iter().map(|key| &key.expr).collect(),
            Plan::Number {
                partition, order, ..
            } => partition
                .iter()
                .chain(order.iter().map(|key| &key.expr))
                .collect(),
            Plan::Join { on, .. } => vec![on],
        }
    }

    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Plan::Get { .. }
            | Plan::Constant { .. }
            | Plan::Distinct { .. }
            | Plan::UnionAll { .. } => Vec::new(),
            Plan::Project { columns, .. } => columns.iter_mut().collect(),
            Plan::Filter { predicate, .. } => vec![predicate],
            Plan::Window {
                from_ms, until_ms, ..
            } => from_ms.iter_mut().chain(until_ms).collect(),
            Plan::Aggregate {
                keys, aggregates, ..
            } => keys
                .iter_mut()
                .chain(aggregates.iter_mut().flat_map(Aggregate::exprs_mut))
                .collect(),
            Plan::TopK { order, .. } => order.iter_mut().map(|key| &mut key.expr).collect(),
            Plan::Number {
                partition, order, ..
            } => partition
                .iter_mut()
                .chain(order.iter_mut().map(|key| &mut key.expr))
                .collect(),
            Plan::Join { on, .. } => vec![on],
        }
    }

    /// Calls `visit` with every expression of the plan.
    pub fn visit_exprs(&self, visit: &mut dyn FnMut(&Expr)) {
        self.exprs().into_iter().for_each(&mut *visit);
        for input in self.inputs() {
            input.visit_exprs(visit);
        }
    }

    /// Calls `visit` with every expression of the plan, to change it.
    pub fn visit_exprs_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        self.exprs_mut().into_iter().for_each(&mut *visit);
        for input in self.inputs_mut() {
            input.visit_exprs_mut(visit);
        }
    }

    /// The catalog's names of the maintained relations that the plan reads, each once; without any it is constant.
    pub fn reads(&self) -> BTreeSet<Arc<str>> {
        let mut names = BTreeSet::new();
        self.collect_reads(&mut names);
        names
    }

    fn collect_reads(&self, names: &mut BTreeSet<Arc<str>>) {
        if let Plan::Get { name, .. } = self {
            names.insert(name.clone());
        }
        self.visit_subqueries(&mut |plan| plan.collect_reads(names));
        for input in self.inputs() {
            input.collect_reads(names);
        }
    }

    /// The plans inside the operator's own expressions.
    fn visit_subqueries(&self, visit: &mut dyn FnMut(&Plan)) {
        fn inside(expr: &Expr, visit: &mut dyn FnMut(&Plan)) {
            match expr {
                Expr::Column(_) | Expr::Literal(..) | Expr::Outer { .. } => {}
                Expr::Call(_, arguments) => {
                    arguments
                        .iter()
                        .for_each(|argument| inside(argument, visit));
                }
                Expr::Matches(input, _) | Expr::In(input, _) => inside(input, visit),
                Expr::Subquery(kind, plan) => {
                    if let Subquery::Any(_, left) = kind {
                        inside(left, visit);
                    }
                    visit(plan);
                }
            }
        }
        for expr in self.exprs() {
            inside(expr, visit);
        }
    }

    /// How many columns its rows have.
    pub fn arity(&self) -> usize {
        match self {
            Plan::Get { columns, .. } => columns.len(),
            Plan::Constant { arity, .. } => *arity,
            Plan::Project { columns, .. } => columns.len(),
            Plan::Filter { input, .. }
            | Plan::Window { input, .. }
            | Plan::Distinct { input }
            | Plan::TopK { input, .. } => input.arity(),
            Plan::Aggregate {
                keys, aggregates, ..
            } => keys.len() + aggregates.len(),
            Plan::Number { input, .. } => input.arity() + 1,
            Plan::UnionAll { inputs } => inputs.first().map_or(0, Plan::arity),
            Plan::Join { left, right, .. } => left.arity() + right.arity(),
        }
    }
}

impl Aggregate {
    /// Its own expressions.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let order = self.order.iter().map(|key| &key.expr);
        self.argument.iter().chain(&self.filter).chain(order)
    }

    /// Its own expressions, to change them.
    pub fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let order = self.order.iter_mut().map(|key| &mut key.expr);
        self.argument
            .iter_mut()
            .chain(&mut self.filter)
            .chain(order)
    }
}
