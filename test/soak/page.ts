/** The look of the page: light or dark, as the reader's system has it. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --edge: #e1e5ea; --ink: #17202b; --soft: #5b6775; --grid: #e8ebef;
  --one: #1f6fd6; --two: #d9622b; --three: #7a5bc7; --bad: #cf2b3c; --good: #1d8a4e; --warn: #d79a14;
  --fault: #d79a1426; --restart: #7a5bc7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10151c; --card: #18202a; --edge: #2a3542; --ink: #e8edf3; --soft: #98a5b3; --grid: #263140;
    --one: #5ba4f5; --two: #f08a55; --three: #ab92ee; --bad: #f26673; --good: #4cc583; --warn: #e2b347;
    --fault: #e2b3472b; --restart: #ab92ee;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 36px 0 12px; }
header { display: flex; align-items: center; gap: 14px; flex-wrap: wrap; }
.verdict { padding: 3px 12px; border-radius: 99px; font-weight: 600; font-size: 14px; color: #fff; background: var(--good); }
.verdict.fails { background: var(--bad); }
@media (prefers-color-scheme: dark) { .verdict { color: #10151c; } }
.about, .note { color: var(--soft); }
.about { margin: 6px 0 20px; }
.note { margin: 0 0 12px; max-width: 78ch; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.tile, figure, .table { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; }
.tile { padding: 12px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.bad b { color: var(--bad); }
figure { margin: 0 0 14px; padding: 12px 12px 6px; }
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 14px; }
.pairs figure { margin: 0; }
figcaption { display: flex; justify-content: space-between; flex-wrap: wrap; gap: 4px 16px; padding: 0 4px 4px; font-weight: 600; }
.keys { display: flex; gap: 14px; font-weight: 400; font-size: 13px; color: var(--soft); }
.key::before { content: ""; display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; background: var(--c); vertical-align: -1px; }
.one { --c: var(--one); } .two { --c: var(--two); } .three { --c: var(--three); } .bad { --c: var(--bad); } .warn { --c: var(--warn); }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11.5px system-ui, "Segoe UI", Arial, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--grid); }
.fault { fill: var(--fault); }
.restart { fill: var(--restart); opacity: 0.18; }
.restart-line { stroke: var(--restart); stroke-width: 1.5; }
svg text.restart-name { fill: var(--restart); font-weight: 600; }
.line { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.area { fill: var(--c); opacity: 0.13; }
.bar { fill: var(--c); }
.limit { stroke: var(--bad); stroke-dasharray: 5 4; }
svg text.limit-name { fill: var(--bad); }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: right; border-top: 1px solid var(--edge); white-space: nowrap; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; font-size: 13px; }
th:first-child, td:first-child, .text { text-align: left; }
td.text { white-space: normal; overflow-wrap: anywhere; }
tr.sum td { font-weight: 600; }
td.bad { color: var(--bad); font-weight: 600; }
.holds { color: var(--good); font-weight: 700; } .fails { color: var(--bad); font-weight: 700; }
.verdict.fails { color: #fff; }
.swatch { display: inline-block; width: 22px; height: 12px; border-radius: 3px; vertical-align: -1px; margin: 0 4px 0 0; }
.swatch.fault { background: var(--fault); border: 1px solid var(--warn); } .swatch.restart { background: var(--restart); opacity: 1; }
`;
