"""An upstream to practise on: OpenRouter-, OpenAI- and Anthropic-shaped replies, faults on demand, and a bill.

Law: a reply depends on the request and the model name only. What is random (ids) or
comes from a clock is made in `server.py` and passed in; nothing here reaches a network.

behaviours  model name → what to do          asked    request body → what was asked
answer      what is said, and its price      skins/   how each API spells it
script      frames → timed steps and faults  play     steps → a connection
bill        every call that was started      server   routes; `start_mock` and `build_app`
strict/     what the real one would refuse
"""
