package demo

// chat answers a call of chat completions.
func chat(s *sender) {
	p := s.plan
	finish := "stop"
	if p.cut {
		finish = "length"
	}
	if !p.call.Stream {
		answer := object{
			"id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": p.call.Model,
			"choices": []any{object{
				"index": 0, "message": object{"role": "assistant", "content": p.text(), "refusal": nil}, "logprobs": nil, "finish_reason": finish,
			}},
		}
		if !p.silent {
			answer["usage"] = chatUsage(p)
		}
		s.whole(answer)
		return
	}
	s.begin()
	s.event("", chatChunk(p, object{"role": "assistant", "content": ""}, nil))
	if !s.texts(func(text string) { s.event("", chatChunk(p, object{"content": text}, nil)) }) {
		return
	}
	s.event("", chatChunk(p, object{}, finish))
	if p.call.IncludeUsage && !p.silent {
		last := chatChunk(p, nil, nil)
		last["choices"], last["usage"] = []any{}, chatUsage(p)
		s.event("", last)
	}
	s.line("", "[DONE]")
}

// chatChunk returns an event of a stream of chat completions.
func chatChunk(p plan, delta object, finish any) object {
	chunk := object{
		"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": p.call.Model,
		"choices": []any{object{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": finish}},
	}
	if p.call.IncludeUsage {
		chunk["usage"] = nil
	}
	return chunk
}

// chatUsage returns usage as chat completions tell it.
func chatUsage(p plan) object {
	return object{
		"prompt_tokens": p.in, "completion_tokens": p.out, "total_tokens": p.in + p.out,
		"prompt_tokens_details":     object{"cached_tokens": p.cached, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0},
	}
}

// responses answers a call of responses.
func responses(s *sender) {
	p := s.plan
	if !p.call.Stream {
		s.whole(response(p, true))
		return
	}
	number := 0
	send := func(name string, fields object) {
		fields["type"], fields["sequence_number"] = name, number
		number++
		s.event(name, fields)
	}
	at := func(fields object) object {
		fields["item_id"], fields["output_index"], fields["content_index"] = "msg_demo", 0, 0
		return fields
	}
	s.begin()
	send("response.created", object{"response": response(p, false)})
	send("response.output_item.added", object{"output_index": 0, "item": responseItem("in_progress", nil)})
	send("response.content_part.added", at(object{"part": responsePart("")}))
	if !s.texts(func(text string) { send("response.output_text.delta", at(object{"delta": text, "logprobs": []any{}})) }) {
		return
	}
	send("response.output_text.done", at(object{"text": p.text(), "logprobs": []any{}}))
	send("response.content_part.done", at(object{"part": responsePart(p.text())}))
	send("response.output_item.done", object{"output_index": 0, "item": responseItem("completed", []any{responsePart(p.text())})})
	send("response.completed", object{"response": response(p, true)})
}

// response returns a response, done or only begun.
func response(p plan, done bool) object {
	r := object{
		"id": "resp_demo", "object": "response", "created_at": 0, "model": p.call.Model, "status": "in_progress", "output": []any{},
		"error": nil, "incomplete_details": nil, "instructions": nil, "metadata": object{}, "parallel_tool_calls": true,
		"temperature": 1, "tool_choice": "auto", "tools": []any{}, "top_p": 1, "usage": nil,
	}
	if !done {
		return r
	}
	r["status"], r["output"] = "completed", []any{responseItem("completed", []any{responsePart(p.text())})}
	if !p.silent {
		r["usage"] = object{
			"input_tokens": p.in, "input_tokens_details": object{"cached_tokens": p.cached},
			"output_tokens": p.out, "output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": p.in + p.out,
		}
	}
	return r
}

// responseItem returns the message of a response.
func responseItem(status string, content []any) object {
	if content == nil {
		content = []any{}
	}
	return object{"id": "msg_demo", "type": "message", "role": "assistant", "status": status, "content": content}
}

// responsePart returns a part of that message.
func responsePart(text string) object {
	return object{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}
