//! The plot: bars of the CPU time of a statement, by route.

use std::fmt::Write as _;

use super::cell::Cell;
use super::measure::Results;
use super::route::Route;

const WIDTH: f64 = 760.0;
/// Where bars begin.
const LEFT: f64 = 170.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 60.0;
const TOP: f64 = 64.0;
const BAR: f64 = 12.0;
/// Between the bars of two cells.
const GAP: f64 = 12.0;

/// An SVG document that needs nothing but itself. Cells that are no statements are left out.
pub(super) fn cpu(results: &Results) -> String {
    let cells = results.cells().into_iter().filter(|cell| matches!(cell, Cell::Statements { .. }));
    let groups: Vec<(String, [f64; 4])> =
        cells.map(|cell| (cell.to_string(), Route::PROXIES.map(|route| results.cpu(cell, route)))).collect();
    draw("CPU time of the proxy for a statement, µs", &groups)
}

fn draw(title: &str, groups: &[(String, [f64; 4])]) -> String {
    let most = groups.iter().flat_map(|(_, values)| values).copied().fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let mut bars = String::new();
    let mut top = TOP;
    for (name, values) in groups {
        let middle = top + 2.0 * BAR + 4.0;
        text(&mut bars, LEFT - 8.0, middle, "end", name);
        for (route, value) in Route::PROXIES.into_iter().zip(values).filter(|(_, value)| !value.is_nan()) {
            let (length, color) = (value.max(0.0) * scale, color(route));
            let _ = writeln!(
                bars,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"{}\" fill=\"{color}\"/>",
                BAR - 1.0
            );
            text(&mut bars, LEFT + length + 4.0, top + BAR - 2.0, "start", &format!("{value:.1}"));
            top += BAR;
        }
        top += GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}{bars}</svg>\n",
        legend(title)
    )
}

fn legend(title: &str) -> String {
    let mut out = String::new();
    text(&mut out, 8.0, 20.0, "start", title);
    let mut left = LEFT;
    for route in Route::PROXIES {
        let _ = writeln!(out, "<rect x=\"{left}\" y=\"34\" width=\"10\" height=\"10\" fill=\"{}\"/>", color(route));
        text(&mut out, left + 14.0, 43.0, "start", route.name());
        left += 100.0;
    }
    out
}

/// Writing to a String does not fail. No name here has a character that SVG escapes.
fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// Told apart by those who do not see colours alike (Okabe and Ito).
const fn color(route: Route) -> &'static str {
    match route {
        Route::Direct => "#000000",
        Route::PgBouncer => "#0072b2",
        Route::HaProxy => "#999999",
        Route::Relay => "#56b4e9",
        Route::Sluice => "#d55e00",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_plot_and_what_was_measured_has_its_figure() {
        let svg = draw("µs", &[("prepared, 8 clients".to_owned(), [20.0, 40.0, f64::NAN, 5.0])]);
        assert!(svg.contains("width=\"530.0\" height=\"11\" fill=\"#999999\""), "{svg}");
        assert!(svg.contains("width=\"265.0\" height=\"11\" fill=\"#0072b2\""), "{svg}");
        assert_eq!(svg.matches("<text").count(), 1 + 4 + 1 + 3);
        assert!(!svg.contains("NaN"), "{svg}");
        assert!(svg.contains(">prepared, 8 clients</text>") && svg.contains(">40.0</text>"));
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
