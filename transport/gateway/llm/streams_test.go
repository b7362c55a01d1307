package llm

// A recorded is a stream as an upstream sends it, shortened, and what it should come to.
type recorded struct {
	name     string
	endpoint Endpoint
	include  bool // the client had asked for usage
	text     string
	removed  string // of text
	want     Usage
}

// style returns the style of the stream.
func (r recorded) style() Style {
	if r.endpoint == Messages {
		return Anthropic
	}
	return OpenAI
}

// call returns a call that asks for the stream.
func (r recorded) call() Call {
	return Call{Endpoint: r.endpoint, Stream: true, IncludeUsage: r.include, Prompt: 7, MaxOutput: 100, Stated: true, BytesPerToken: 4}
}

const (
	chatBegin = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hello, world"},"finish_reason":null}],"usage":null}

: OPENROUTER PROCESSING

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

`
	chatUsage = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":5}}}

`
	chatEnd = "data: [DONE]\n\n"

	responsesBegin = `event: response.created
data: {"type":"response.created","response":{"id":"r1","object":"response","status":"in_progress","instructions":"be brief","output":[],"usage":null}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"m1","output_index":0,"content_index":0,"delta":"Hello, "}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"m1","output_index":0,"content_index":0,"delta":"world"}

event: response.output_text.done
data: {"type":"response.output_text.done","item_id":"m1","output_index":0,"content_index":0,"text":"Hello, world"}

`
	responsesEnd = `event: response.completed
data: {"type":"response.completed","response":{"id":"r1","object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hello, world"}]}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":123}}}

`

	messagesBegin = `event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":3,"cache_read_input_tokens":40,"cache_creation":{"ephemeral_5m_input_tokens":3},"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello, world"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

`
	messagesEnd = `event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

`
)

// streams returns the streams of all dialects.
func streams() []recorded {
	return []recorded{
		{
			name: "chat", endpoint: ChatCompletions, text: chatBegin + chatUsage + chatEnd, removed: chatUsage,
			want: Usage{Input: 19, Cached: 16, Output: 10, Exact: true},
		},
		{
			name: "chat whose client asked for usage", endpoint: ChatCompletions, include: true, text: chatBegin + chatUsage + chatEnd,
			want: Usage{Input: 19, Cached: 16, Output: 10, Exact: true},
		},
		{name: "chat that breaks", endpoint: ChatCompletions, text: chatBegin, want: Usage{Input: 7, Output: 3}},
		{name: "chat without usage", endpoint: ChatCompletions, text: chatBegin + chatEnd, want: Usage{Input: 7, Output: 3}},
		{
			name: "chat with a filter's event first", endpoint: ChatCompletions,
			text: `data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}` + "\n\n" + chatBegin + chatUsage, removed: chatUsage,
			want: Usage{Input: 19, Cached: 16, Output: 10, Exact: true},
		},
		{
			name: "chat with usage beside text", endpoint: ChatCompletions,
			text: `data: {"usage":{"prompt_tokens":3,"completion_tokens":4},"choices":[{"delta":{"content":"abcd"}}]}` + "\n\n" + chatEnd,
			want: Usage{Input: 3, Output: 4, Exact: true},
		},
		{
			name: "chat that breaks after usage so far", endpoint: ChatCompletions,
			text:    `data: {"usage":{"prompt_tokens":3,"completion_tokens":4},"choices":[]}` + "\n\n" + `data: {"choices":[{"delta":{"content":"abcdefg`,
			removed: `data: {"usage":{"prompt_tokens":3,"completion_tokens":4},"choices":[]}` + "\n\n",
			want:    Usage{Input: 3, Output: 6},
		},
		{
			name: "chat that calls a tool and thinks", endpoint: ChatCompletions,
			text: `data: {"choices":[{"delta":{"reasoning_content":"abcd","tool_calls":[{"id":"none","function":{"name":"find","arguments":"{\"a\":1}"}}]}}]}` + "\n\n",
			want: Usage{Input: 7, Output: 4},
		},
		{
			name: "completions", endpoint: Completions,
			text:    `data: {"choices":[{"text":"abcd","index":0}]}` + "\n\n" + chatUsage + chatEnd,
			removed: chatUsage, want: Usage{Input: 19, Cached: 16, Output: 10, Exact: true},
		},
		{
			name: "responses", endpoint: Responses, text: responsesBegin + responsesEnd,
			want: Usage{Input: 36, Cached: 4, Output: 87, Exact: true},
		},
		{name: "responses that break", endpoint: Responses, text: responsesBegin, want: Usage{Input: 7, Output: 3}},
		{
			name: "messages", endpoint: Messages, text: messagesBegin + messagesEnd,
			want: Usage{Input: 68, Cached: 40, Output: 15, Exact: true},
		},
		{name: "messages that break", endpoint: Messages, text: messagesBegin, want: Usage{Input: 68, Cached: 40, Output: 4}},
		{
			name: "chat with text in a list", endpoint: ChatCompletions,
			text: `data: {"choices":[{"delta":{"content":["abcd",["efgh"]]}}]}` + "\n\n", want: Usage{Input: 7, Output: 2},
		},
		{
			name: "a number over two lines, which is none", endpoint: ChatCompletions,
			text: `data: {"choices":[],"usage":{"prompt_tokens":1` + "\n" + `data: 2,"completion_tokens":3}}` + "\n\n",
			want: Usage{Input: 1, Exact: true},
		},
		{name: "nothing", endpoint: ChatCompletions, want: Usage{Input: 7}},
		{
			name: "not what was asked for", endpoint: ChatCompletions, text: "data: Sorry, said an upstream\n\n",
			want: Usage{Input: 7, Output: 6},
		},
	}
}
