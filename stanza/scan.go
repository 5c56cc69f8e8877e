package stanza

import (
	"bytes"
)

// scanState is the position of Reader.scan in the syntax. It is the only state kept between reads:
// the bytes of the unfinished token stay in the chunk.
type scanState uint8

const (
	inText   scanState = iota // between tags
	inMarkup                  // after a <
	inBang                    // after <!
	inDecl                    // after <?
	inCDATA
	inTag
	inQuote // in an attribute value of a tag
	inEndTag
)

const (
	openCDATA  = "<![CDATA["
	closeCDATA = "]]>"
	openDecl   = "<?xml"
	closeDecl  = "?>"
)

// look runs the state machine over the available bytes, but never past the limit, until it has a
// result or needs more bytes.
func (r *Reader) look() found {
	if r.found != foundNothing {
		return r.found
	}
	end := r.scanEnd()
	r.compare(end)
	for r.scan < end && r.found == foundNothing {
		switch r.state {
		case inText:
			r.scanText(end)
			end = r.scanEnd() // white space has moved the limit
		case inMarkup:
			r.scanMarkup()
		case inBang:
			r.scanBang()
		case inDecl:
			r.scanDecl(end)
		case inCDATA:
			r.scanCDATA(end)
		case inTag:
			r.scanTag(end)
		case inQuote:
			r.scanQuote(end)
		case inEndTag:
			r.scanEndTag(end)
		}
	}
	if r.found == foundNothing && end < len(r.buf) {
		return foundLimit
	}
	return r.found
}

// scanEnd returns where the state machine must stop: at the end of the read bytes or at the limit.
func (r *Reader) scanEnd() int {
	return min(len(r.buf), max(r.start-r.skipped+r.limits.Element, r.scan))
}

func (r *Reader) scanText(end int) {
	i := bytes.IndexByte(r.buf[r.scan:end], '<')
	stop := end
	if i >= 0 {
		stop = r.scan + i
	}
	if len(r.stack) > 0 {
		if i >= 0 {
			r.finishText(r.token, stop, false)
		}
	} else { // skip it, it need not stay in the chunk
		skip := stop
		if r.inHeader {
			for skip = r.scan; skip < stop && spaces[r.buf[skip]]; skip++ {
			}
		}
		for _, c := range r.buf[r.start:skip] {
			if !spaces[c] || r.inHeader {
				r.skipped++
			}
		}
		r.start = skip
		if skip < stop {
			r.invalid(skip, "no stream header")
			return
		}
	}
	r.scan = stop
	if i >= 0 {
		r.token, r.scan, r.state = stop, stop+1, inMarkup
	}
}

func (r *Reader) scanMarkup() {
	switch c := r.buf[r.scan]; {
	case c == '/':
		r.state = inEndTag
	case c == '!':
		r.state = inBang
	case c == '?' && r.inHeader && !r.declared:
		r.state = inDecl
	case c == '?':
		r.fail("restricted-xml", r.token, "processing instruction")
		return
	case nameStart[c]:
		r.state = inTag
	default:
		r.invalid(r.token, "< without a name behind it")
		return
	}
	r.scan++
}

// scanBang takes one byte of markup that can only be the start of a CDATA section.
func (r *Reader) scanBang() {
	i := r.scan - r.token
	switch c := r.buf[r.scan]; {
	case c == openCDATA[i] && len(r.stack) > 0:
		r.scan++
		if i == len(openCDATA)-1 {
			r.state = inCDATA
		}
	case i == 2 && (c == '-' || c == 'D'):
		r.fail("restricted-xml", r.token, "comment or document type")
	default:
		r.invalid(r.token, "<! without a CDATA section")
	}
}

func (r *Reader) scanCDATA(end int) {
	body := r.token + len(openCDATA)
	from := max(body, r.scan-len(closeCDATA)+1)
	i := bytes.Index(r.buf[from:end], []byte(closeCDATA))
	if i < 0 {
		r.scan = end
		return
	}
	r.finishText(body, from+i, true)
	r.scan = from + i + len(closeCDATA)
	r.token, r.state = r.scan, inText
}

func (r *Reader) scanDecl(end int) {
	from := max(r.token+2, r.scan-len(closeDecl)+1)
	i := bytes.Index(r.buf[from:end], []byte(closeDecl))
	if i < 0 {
		r.scan = end
		return
	}
	r.scan = from + i + len(closeDecl)
	r.finishDecl(from + i)
	r.declared = true
	r.token, r.state = r.scan, inText
}

// scanTag looks for the end of a start tag outside quotes. It refuses at once a byte that cannot
// be in a tag. Otherwise a JSON text with a bare < would swallow the stanzas after it.
func (r *Reader) scanTag(end int) {
	for i := r.scan; i < end; i++ {
		switch c := r.buf[i]; c {
		case '>':
			r.scan = i + 1
			r.finishTag()
			r.token, r.state = r.scan, inText
			return
		case '<':
			r.invalid(i, "< in a tag")
			return
		case '"', '\'':
			before := i - 1
			for spaces[r.buf[before]] {
				before--
			}
			if r.buf[before] != '=' {
				r.invalid(i, "quote in a tag without a = before it")
				return
			}
			n := bytes.IndexByte(r.buf[i+1:end], c)
			if n < 0 {
				r.scan, r.quote, r.state = end, c, inQuote
				return
			}
			i += 1 + n
		}
	}
	r.scan = end
}

func (r *Reader) scanQuote(end int) {
	i := bytes.IndexByte(r.buf[r.scan:end], r.quote)
	if i < 0 {
		r.scan = end
		return
	}
	r.scan += i + 1
	r.state = inTag
}

func (r *Reader) scanEndTag(end int) {
	i := bytes.IndexByte(r.buf[r.scan:end], '>')
	if i < 0 {
		r.scan = end
		return
	}
	r.scan += i + 1
	r.finishEndTag()
	r.token, r.state = r.scan, inText
}
