/** undici's own header timeout begins anew with each byte: an upstream that sends `102 Processing` forever never meets it. */
import { DecoratorHandler, type Dispatcher, errors } from 'undici';

/** Ends an exchange whose answer's head is not there in time: from the request's way out, whatever 1xx come before. */
export function headDeadline(milliseconds: number): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, new HeadDeadline(handler, milliseconds));
}

class HeadDeadline extends DecoratorHandler implements Dispatcher.DispatchHandler {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly handler: Dispatcher.DispatchHandler,
    private readonly milliseconds: number,
  ) {
    super(handler);
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => controller.abort(new errors.HeadersTimeoutError()),
      this.milliseconds,
    );
    this.handler.onRequestStart?.(controller, context);
  }

  onResponseStart(
    ...[controller, status, ...head]: Parameters<
      NonNullable<Dispatcher.DispatchHandler['onResponseStart']>
    >
  ): void {
    if (status >= 200) clearTimeout(this.#timer);
    this.handler.onResponseStart?.(controller, status, ...head);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    clearTimeout(this.#timer);
    this.handler.onResponseError?.(controller, error);
  }
}
