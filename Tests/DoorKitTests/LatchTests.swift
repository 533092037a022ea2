import DoorKit
import Testing

@Suite("Latches")
struct LatchTests {
    @Test("all who wait get the first value")
    func first() async {
        let latch = Latch<Int>()
        await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<20 { group.addTask { await latch.wait() } }
            latch.set(1)
            latch.set(2)
            for await value in group { #expect(value == 1) }
        }
        #expect(await latch.wait() == 1 && latch.isSet)
    }

    @Test("one who is cancelled gets nothing, the others wait on")
    func cancelled() async {
        let latch = Latch<Int>()
        let patient = Task { await latch.wait() }
        let hasty = Task { await latch.wait() }
        hasty.cancel()
        #expect(await hasty.value == nil)
        latch.set(7)
        #expect(await patient.value == 7)
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await Latch<Int>().wait()
        }
        #expect(await late.value == nil)
    }

    @Test("setting, waiting and cancelling at once")
    func race() async {
        for _ in 0..<200 {
            let latch = Latch<Int>()
            let tasks = (0..<4).map { _ in Task { await latch.wait() } }
            async let set: Void = latch.set(3)
            tasks[0].cancel()
            await set
            for task in tasks.dropFirst() { #expect(await task.value == 3) }
            _ = await tasks[0].value
        }
    }
}
