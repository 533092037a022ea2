import DoorKit
import DriverKit
import FoundationEssentials
import NIOCore
import WireTypes

/// A message of the `control` websocket that makes sense.
enum SessionControlMessage: Equatable {
    case resize(TerminalSize)
    case signal(Int32)

    /// nil for what is not understood, which LXD too passes over.
    init?(_ message: WebSocket.Message) {
        let bytes: [UInt8] =
            switch message {
            case .binary(let buffer): Array(buffer: buffer)
            case .text(let text): Array(text.utf8)
            }
        guard bytes.count <= 4096, (try? JSONText.check(bytes, depth: 4)) != nil,
            let control = try? JSONDecoder().decode(API.SessionControl.self, from: Data(bytes))
        else { return nil }
        switch control.command {
        case "window-resize":
            guard let columns = control.args["width"].flatMap(UInt16.init),
                let rows = control.args["height"].flatMap(UInt16.init), columns > 0, rows > 0
            else { return nil }
            self = .resize(TerminalSize(columns: columns, rows: rows))
        case "signal":
            guard (1...64).contains(control.signal) else { return nil }
            self = .signal(control.signal)
        default: return nil
        }
    }
}
