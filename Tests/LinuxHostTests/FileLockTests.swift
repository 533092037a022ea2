import Glibc
import LinuxHost
import Model
import Testing

struct FileLockTests {
    @Test func onlyOneHoldsItAtATime() async throws {
        let folder = try TemporaryFolder()
        let holders = Holders()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    let lock = try await FileLock(waitingFor: folder.path + "/lock")
                    let count = await holders.enter()
                    try await Task.sleep(for: .milliseconds(20))
                    await holders.leave()
                    withExtendedLifetime(lock) {}
                    return count
                }
            }
            for try await count in group { #expect(count == 1) }
        }
    }

    @Test func aWaitingTaskCanBeCancelled() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/lock"
        let held = try await FileLock(waitingFor: path)
        let waiting = Task { try await FileLock(waitingFor: path) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
        withExtendedLifetime(held) {}
    }

    @Test func aLinkIsNotFollowed() async throws {
        let folder = try TemporaryFolder()
        symlink("/tmp/elsewhere", folder.path + "/lock")
        await #expect(throws: EngineError.self) { _ = try await FileLock(waitingFor: folder.path + "/lock") }
    }
}

private actor Holders {
    private var count = 0

    func enter() -> Int {
        count += 1
        return count
    }

    func leave() { count -= 1 }
}
