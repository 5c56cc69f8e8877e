// Package plot draws the result of a run as one self-contained HTML file. It needs no network and
// no script, and contains the charts as SVG.
package plot
