// Package plot draws the result of a run as one HTML file that needs nothing else: no network, no script, the
// charts inside it as SVG.
package plot
