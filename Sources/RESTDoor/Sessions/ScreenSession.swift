import DoorKit
import DriverKit
import Model
import NIOCore
import Synchronization

/// The screen of a machine on websockets, as LXD's `vga` console has it: one that the client keeps open for as long as it
/// looks (`control`), and one for each connection of a SPICE viewer, all by the same secret (`0`).
final class ScreenSession: ServedSession {
    /// Secrets by stream, for the client.
    let secrets: [String: String]
    private let screen: any ScreenFacet
    private let claimed = Mutex(false)
    private let arrived = Latch<Bool>()
    private let over = Latch<Void>()

    init(_ screen: any ScreenFacet) {
        self.screen = screen
        secrets = ["0": StreamSecret.make(), "control": StreamSecret.make()]
    }

    func opening(_ secret: String) -> (@Sendable (WebSocket) async -> Void)? {
        if secret == secrets["0"] { return { [self] in await relay($0) } }
        guard secret == secrets["control"],
            claimed.withLock({ taken in
                defer { taken = true }
                return !taken
            })
        else { return nil }
        return { [self] socket in
            arrived.set(true)
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    // The client says nothing on it but that it is there.
                    do { while try await socket.receive() != nil {} } catch {}
                }
                group.addTask { _ = await self.over.wait() }
                await group.next()
                group.cancelAll()
            }
            over.set(())
        }
    }

    /// Lasts until the client has left; `timeout` if it does not come.
    func run() async throws {
        defer { over.set(()) }
        let timer = Task {
            try await Task.sleep(for: StreamSession.patience)
            arrived.set(false)
        }
        defer { timer.cancel() }
        try await withTaskCancellationHandler {
            guard await arrived.wait() == true else {
                try Task.checkCancellation()
                throw EngineError(
                    .timeout, "the client did not connect to the streams within \(StreamSession.patience)")
            }
            _ = await over.wait()
        } onCancel: {
            arrived.set(false)
            over.set(())
        }
    }

    /// One connection of a viewer.
    private func relay(_ socket: WebSocket) async {
        let descriptor: OwnedDescriptor
        do { descriptor = try await screen.connect() } catch {
            // The machine has ended; the viewer sees its connection closed.
            try? await socket.close()
            return
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                var reader = DescriptorReader(descriptor)
                do {
                    while let bytes = try await reader.next() { try await socket.send(bytes) }
                    try await socket.close()
                } catch {
                    // The viewer is gone.
                }
            }
            group.addTask {
                let writer = DescriptorWriter(descriptor)
                do {
                    while let message = try await socket.receive() {
                        guard case .binary(let bytes) = message else { continue }
                        guard try await writer.write(bytes) else { return }
                    }
                } catch {
                    // The connection broke.
                }
            }
            group.addTask { _ = await self.over.wait() }
            await group.next()
            group.cancelAll()
        }
        descriptor.close()
    }
}
