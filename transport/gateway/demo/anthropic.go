package demo

// messages answers a call of messages.
func messages(s *sender) {
	p := s.plan
	reason := "end_turn"
	if p.cut {
		reason = "max_tokens"
	}
	if !p.call.Stream {
		answer := message(p, p.out)
		answer["content"], answer["stop_reason"] = []any{object{"type": "text", "text": p.text()}}, reason
		s.whole(answer)
		return
	}
	send := func(name string, fields object) {
		fields["type"] = name
		s.event(name, fields)
	}
	s.begin()
	send("message_start", object{"message": message(p, min(p.out, 1))})
	send("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}})
	send("ping", object{})
	if !s.texts(func(text string) {
		send("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": text}})
	}) {
		return
	}
	send("content_block_stop", object{"index": 0})
	last := object{"delta": object{"stop_reason": reason, "stop_sequence": nil}}
	if !p.silent {
		last["usage"] = object{"output_tokens": p.out}
	}
	send("message_delta", last)
	send("message_stop", object{})
}

// message returns a message without content, which so far has this many tokens of output. Tokens from a cache stand beside
// those of input.
func message(p plan, out int64) object {
	m := object{
		"id": "msg_demo", "type": "message", "role": "assistant", "model": p.call.Model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil,
	}
	if !p.silent {
		m["usage"] = object{
			"input_tokens": p.in - p.cached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": p.cached, "output_tokens": out,
		}
	}
	return m
}
