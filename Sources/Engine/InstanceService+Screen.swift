public import DriverKit
import Model

extension InstanceService {
    /// The screen of a running machine. `unsupported` if it has none.
    public func screen(_ name: String, project: String = "default") async throws -> any ScreenFacet {
        try await find(name, project).screen()
    }
}
