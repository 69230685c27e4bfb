/** A delivery that was refused: what the provider shows to people beside it. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly status: 400 | 401;

  constructor(status: 400 | 401, message: string) {
    super(message);
    this.status = status;
  }
}
