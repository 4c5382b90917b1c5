//! Aggregates and window functions of a wanted type.

use super::expr::Sql;
use super::query::{Generator, Scope};
use super::schema::Type;

impl Generator<'_> {
    /// An aggregate over the rows of a query; its arguments come from `scope`.
    pub(super) fn aggregate(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        self.aggregate_over(scope, ty, depth, true)
    }

    /// See [`Self::aggregate`]; without `secret`, of columns that are not sensitive.
    pub(super) fn aggregate_over(&mut self, scope: &Scope, ty: Type, depth: usize, secret: bool) -> Sql {
        let before = self.hidden;
        self.hidden |= !secret;
        let value = self.plain_aggregate(scope, ty, depth);
        self.hidden = before;
        value
    }

    fn plain_aggregate(&mut self, scope: &Scope, ty: Type, depth: usize) -> Sql {
        let depth = depth.saturating_sub(1);
        let filter = if self.choices.chance(15) {
            format!(" FILTER (WHERE {})", self.condition(scope, 1))
        } else {
            String::new()
        };
        let (text, secret) = match ty {
            Type::Int => self.int_aggregate(scope, depth),
            Type::Text => self.text_aggregate(scope, depth),
            Type::Num => {
                let argument = self.expr(scope, Type::Num, depth);
                let word = self.choices.pick(&["sum", "avg", "max", "stddev"], "sum");
                (format!("{word}({})", argument.text), argument.secret)
            }
            Type::Bool => {
                let argument = self.expr(scope, Type::Bool, depth);
                let word = self.choices.pick(&["bool_or", "every"], "bool_or");
                (format!("{word}({})", argument.text), argument.secret)
            }
            Type::Date => {
                let argument = self.expr(scope, Type::Date, depth);
                (format!("min({})", argument.text), argument.secret)
            }
            Type::Json => self.json_aggregate(scope, depth),
            Type::Texts => {
                let argument = self.exactly(scope, Type::Text, depth);
                (format!("array_agg({})", argument.text), argument.secret)
            }
            Type::Ints => {
                let argument = self.expr(scope, Type::Int, depth);
                (format!("array_agg({})", argument.text), argument.secret)
            }
            Type::Pair => {
                let argument = self.expr(scope, Type::Pair, depth);
                return Sql { text: format!("(array_agg({}){filter})[1]", argument.text), secret: argument.secret };
            }
        };
        // A cast stands after the filter.
        let text = match text.strip_suffix("::int").or_else(|| text.strip_suffix("::jsonb")) {
            Some(call) => format!("({call}{filter}){}", &text.get(call.len()..).unwrap_or_default()),
            None => format!("{text}{filter}"),
        };
        Sql { text, secret }
    }

    fn int_aggregate(&mut self, scope: &Scope, depth: usize) -> (String, bool) {
        let ty = self.any_type();
        match self.choices.below(7) {
            0 => ("count(*)::int".into(), false),
            1 => {
                let argument = self.expr(scope, ty, depth);
                (format!("count({})::int", argument.text), argument.secret)
            }
            2 => {
                let argument = self.tested(scope, Type::Text, depth);
                (format!("count(DISTINCT {})::int", argument.text), argument.secret)
            }
            3 => {
                let argument = self.tested(scope, Type::Int, depth);
                (format!("percentile_disc(0.5) WITHIN GROUP (ORDER BY {})", argument.text), argument.secret)
            }
            4 => {
                let argument = self.tested(scope, Type::Int, depth);
                (format!("mode() WITHIN GROUP (ORDER BY {})", argument.text), argument.secret)
            }
            5 => {
                let argument = self.expr(scope, Type::Int, depth);
                (format!("bit_or({})", argument.text), argument.secret)
            }
            _ => {
                let argument = self.expr(scope, Type::Int, depth);
                (format!("sum({})::int", argument.text), argument.secret)
            }
        }
    }

    fn text_aggregate(&mut self, scope: &Scope, depth: usize) -> (String, bool) {
        let argument = self.expr(scope, Type::Text, depth);
        match self.choices.below(4) {
            0 => (format!("max({})", argument.text), argument.secret),
            1 => (format!("string_agg({}, ',')", argument.text), argument.secret),
            2 => {
                let order = self.tested(scope, Type::Int, depth);
                let text = format!("string_agg({}, ',' ORDER BY {})", argument.text, order.text);
                (text, argument.secret || order.secret)
            }
            _ => (format!("min({})", argument.text), argument.secret),
        }
    }

    fn json_aggregate(&mut self, scope: &Scope, depth: usize) -> (String, bool) {
        let ty = self.any_type();
        let argument = self.expr(scope, ty, depth);
        match self.choices.below(3) {
            0 => (format!("jsonb_agg({})", argument.text), argument.secret),
            1 => {
                let key = self.expr(scope, Type::Text, depth);
                let text = format!("jsonb_object_agg(concat('k', {}), {})", key.text, argument.text);
                (text, argument.secret || key.secret)
            }
            _ => (format!("json_agg({})::jsonb", argument.text), argument.secret),
        }
    }

    /// A window function.
    pub(super) fn window(&mut self, scope: &Scope, ty: Type) -> Sql {
        let order = self.tested(scope, Type::Int, 1);
        let mut over = String::new();
        if self.choices.chance(40) {
            let partition = self.tested(scope, Type::Text, 1);
            over.push_str(&format!("PARTITION BY {} ", partition.text));
        }
        over.push_str(&format!("ORDER BY ({}) + 0", order.text));
        if self.choices.chance(20) {
            over.push_str(" ROWS BETWEEN 1 PRECEDING AND CURRENT ROW");
        }
        let argument = self.expr(scope, ty, 1);
        let argument_text = &argument.text;
        let form = match ty {
            Type::Int if self.choices.chance(60) => {
                let word = self.choices.pick(&["row_number()", "rank()", "ntile(2)", "count(*)"], "row_number()");
                return Sql { text: format!("({word} OVER ({over}))::int"), secret: order.secret };
            }
            _ => match self.choices.below(4) {
                0 => format!("lag({argument_text})"),
                1 => format!("first_value({argument_text})"),
                2 => format!("lead({argument_text}, 1, {argument_text})"),
                _ => format!("nth_value({argument_text}, 2)"),
            },
        };
        Sql { text: format!("{form} OVER ({over})"), secret: argument.secret }
    }
}
