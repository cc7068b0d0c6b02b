"""Who answers the rows of a batch run: a function that delivers one answer for each row, in any order.

    def answer(rows: Iterable[Row], deliver: Deliver) -> None: ...

`rows` is read as far as there is work to do, never all at once; rows that an earlier run has answered are not in it.
`deliver` may be called from any thread; it writes the answer down before it returns, and does nothing for a row that
has one. The function returns when every row was delivered, and raises UserError where going on makes no sense (the
gateway is not there, the key is wrong): what was delivered stays, and the next run goes on from there. It never raises
for a single row: that row's Answer says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fairlead.store.batch_rows import Answer, Row

Deliver = Callable[[Row, Answer], None]
Engine = Callable[[Iterable[Row], Deliver], None]
