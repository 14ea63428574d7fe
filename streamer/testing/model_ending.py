"""How a simulation ends: nothing new comes, nothing goes wrong, and all that was promised is counted."""

from streamer.testing.model_group import PARTITIONS, Group
from streamer.testing.model_worker import Crashed
from streamer.testing.report import Report, Violation


class Ending:
    """Checked here: one_result, that all is committed, that no key stays locked, and no journal long."""

    def __init__(self, group: Group, report: Report) -> None:
        self.group = group
        self.report = report

    def settle(self) -> None:
        """Let all work end, with nothing new in its way, and count."""
        group = self.group
        idle_rounds, before = 0, (0, 0, 0)
        while idle_rounds < 5:
            for number in range(PARTITIONS):
                try:
                    self._settle(number)
                except Crashed as crashed:
                    group.poisoned(crashed)
            read = sum(group.opening(number)[0].index for number in range(PARTITIONS))
            now = self.report.commits, self.report.crashes, read
            idle_rounds, before = (idle_rounds + 1 if now == before else 0), now
            # Who owns nothing any more still has what it ran when it lost it.
            idle = not any(worker.busy for worker, _ in group.workers)
            if idle and all(self._is_settled(number) for number in range(PARTITIONS)):
                break
        else:
            raise Violation("one_result", "the work does not come to an end")
        once = self.report.calm or self.report.exactly_once
        for topic, held in zip(group.broker.logs, group.broker.committed, strict=True):
            counts = {message.results for message in topic.messages}
            if 0 in counts or (once and counts - {1}):
                raise Violation("one_result", f"there are messages with {counts} results")
            if held is None or held.offset != topic.end:
                raise Violation("frontier", f"{held} is committed at the end of {topic.end}")
            self.report.messages += len(topic.messages)
        for number in range(PARTITIONS):
            log = group.opening(number)[0].channel.log
            if log.low_water != log.end:
                raise Violation(
                    "bounded", f"{log.low_water} to {log.end} are needed, and nothing is unfinished"
                )
        for worker, _ in group.workers:
            if len(worker.lanes) or worker.lanes.waiting:
                raise Violation("key_order", "keys stay locked with nothing in them")

    def _settle(self, number: int) -> None:
        group = self.group
        while group.former():
            group.thaw()
        opening, worker, commits = group.opening(number)
        if opening.draining:
            group.move(number)
            return
        if not opening.opened:
            group.open(opening)
            opening, worker, commits = group.opening(number)
            if not opening.opened:
                return
        commits.inline(opening)
        if opening.fenced:
            group.fence_off()
            return
        worker.poll(opening, 1000, whole=True)
        idle_rounds, before = 0, (-1, 0, 0)
        while idle_rounds < 20:
            for each, its in group.workers:
                for _ in range(max(20, len(each.ready))):
                    each.begin()
                    each.answer()
                    each.unpark()
                    if self.report.exactly_once:
                        each.sweep()
                    else:
                        each.publish()
                        each.acknowledge()
                each.trials.step()
                while its.unsent and self.report.exactly_once:
                    its.send()
                group.fence_off()
                for held in list(each.assigned.values()):
                    if held.opened or held.suspended:
                        each.promise(held, held.channel.flush())
                    if held.opened:
                        its.inline(held)
            busy = sum(each.busy for each, _ in group.workers)
            if not busy:
                break
            now = busy, self.report.commits, self.report.paid
            idle_rounds, before = (idle_rounds + 1 if now == before else 0), now

    def _is_settled(self, number: int) -> bool:
        opening, _, _ = self.group.opening(number)
        ended = opening.position == opening.log.end and not opening.pending
        return ended and opening.acknowledged == opening.state(leaving=False)
