{ cloudpay for Delphi 7 and newer, and Free Pascal. MIT OR Apache-2.0.

  What each function does, its keys, limits and codes are in cloudpay.h; the README says what to
  do on each code at the till. cloudpay.dll (32 or 64 bit, like the program) lies beside the
  program; on Linux it is libcloudpay.so, and a program also uses cthreads and cwstring.

  Text      Texts are bytes that end with a NUL: UTF-8, or GBK with "charset":"gbk". A UTF8String
            is such a text. Delphi 2009 and Free Pascal convert a string that is assigned to one.
            Delphi 7 to 2007 don't: there call AnsiToUtf8 and Utf8ToAnsi, or configure
            "charset":"gbk" and pass AnsiStrings, on Windows whose code page is CP936.
            With "ascii_output":1 all that comes back is ASCII (\uXXXX), the same in every code
            page. \uXXXX is always understood on input.
  Buffers   `length` counts bytes, the NUL included. A buffer that is too small gets nothing, and
            the call returns CLOUDPAY_BUFFER.
  Ownership Texts and buffers stay the program's own; the library copies what it is given. What
            cloud_pay_get_errmsg and cloud_pay_version point to belongs to the library.
  Callback  Comes on a thread of the library: no form may be touched there, so hand over with
            PostMessage (its texts end with the call: copy them), and let no exception out. A
            plain procedure, not a method. cloud_pay_wait_order needs none.
  Numbers   Every number has 32 bits. Amounts are in fen. }
unit CloudPay;

{$IFDEF FPC}{$MODE DELPHI}{$ENDIF}

interface

const
  CloudPayLibrary = {$IFDEF MSWINDOWS}'cloudpay.dll'{$ELSE}'libcloudpay.so'{$ENDIF};

  { What a call returns. About a payment: 0 is proven paid and -1 is proven not charged. }
  CLOUDPAY_OK = 0;           { paid, accepted, done }
  CLOUDPAY_FAILED = -1;      { failed, refused, not accepted }
  CLOUDPAY_UNKNOWN = -2;     { not known yet: query again; no goods, no second payment }
  CLOUDPAY_ERROR = -3;       { an error; says nothing about any payment }
  CLOUDPAY_TAKEN_BACK = -4;  { refunded, reversed or closed }
  CLOUDPAY_CODE_READY = -5;  { the QR code is ready }
  CLOUDPAY_REENTRY = -6;     { the number is another payment's: never cancel it }
  CLOUDPAY_NO_ORDER = -7;    { no such order }
  CLOUDPAY_BUFFER = -8;      { buffer missing or too small }

type
  { News about an order: its number, what a query would return, and the order JSON. }
  TCloudPayCallback = procedure(out_trade_no: PAnsiChar; code: Integer; order: PAnsiChar; user: Pointer);
    {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF};

  { A function that asks for something. }
  TCloudPayQuery = function(req, answer: PAnsiChar; length: Integer): Integer;
    {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF};

function cloud_pay_init(conf: PAnsiChar): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_init_std';
function cloud_pay_fini: Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_fini_std';
function cloud_pay_get_errmsg: PAnsiChar;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_get_errmsg_std';
function cloud_pay_copy_errmsg(answer: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_copy_errmsg_std';
function cloud_pay_version: PAnsiChar;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_version_std';
function cloud_pay_query_shop_info(req, shop_info: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_query_shop_info_std';
function cloud_pay_query_sub_mch_info(req, answer: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_query_sub_mch_info_std';
function cloud_pay_order_detail(req, order_details: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_order_detail_std';
function cloud_pay_verify_notify(body, content: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_verify_notify_std';
function cloud_pay_notify_reply(status: Integer; description, answer: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_notify_reply_std';
function cloud_pay_micro_pay(req, resp: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_micro_pay_std';
function cloud_pay_scan_code_pay(req: PAnsiChar): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_scan_code_pay_std';
function cloud_pay_query_order(req, order: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_query_order_std';
function cloud_pay_wait_order(req, order: PAnsiChar; length, timeout_ms: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_wait_order_std';
function cloud_pay_cancel_order(req: PAnsiChar): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_cancel_order_std';
function cloud_pay_close_order(req: PAnsiChar): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_close_order_std';
function cloud_pay_refund(req: PAnsiChar): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_refund_std';
function cloud_pay_query_refund(req, refund_order: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_query_refund_std';
function cloud_pay_set_callback(cb: TCloudPayCallback; user: Pointer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_set_callback_std';
function cloud_pay_pending_orders(answer: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_pending_orders_std';
function cloud_pay_next_trade_no(answer: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_next_trade_no_std';
function cloud_pay_security_author_code_prefix(resp: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_security_author_code_prefix_std';
function cloud_pay_security_login(req, resp: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_security_login_std';
function cloud_pay_security_login_check(req, resp: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_security_login_check_std';
function cloud_pay_security_init(req: PAnsiChar): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_security_init_std';
function cloud_pay_security_identification(req, resp: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_security_identification_std';
function cloud_pay_security_identification_check(req, resp: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_security_identification_check_std';
function cloud_pay_order_stat(req, order_stat: PAnsiChar; length: Integer): Integer;
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}; external CloudPayLibrary name 'cloud_pay_order_stat_std';

{ The helpers are for UTF-8, the default of "charset". Ask and wait with two different variables. }

{ The reason for the code of this thread's last call; '' after a success. }
function CloudPayMessage: UTF8String;

{ A new order number; '' when there is none: CloudPayMessage says why. }
function CloudPayNextTradeNo: UTF8String;

{ Asks, and asks again with a larger buffer until the answer fits. For cloud_pay_query_order,
  _query_refund, _query_shop_info, _query_sub_mch_info, _order_detail and _order_stat. Never for
  cloud_pay_micro_pay, whose buffer has the right size (64) from the beginning. }
function CloudPayAsk(query: TCloudPayQuery; const req: UTF8String; out answer: UTF8String): Integer;

{ Waits at most timeout_ms for the result of an order. }
function CloudPayWait(const req: UTF8String; timeout_ms: Integer; out order: UTF8String): Integer;

implementation

const
  FirstBuffer = 16384;     { bytes; longer than nearly every order }
  LastBuffer = 67108864;

procedure CutAtNul(var text: UTF8String);
var
  count: Integer;
begin
  count := 0;
  while (count < Length(text)) and (text[count + 1] <> #0) do
    Inc(count);
  SetLength(text, count);
end;

function CloudPayMessage: UTF8String;
begin
  SetLength(Result, 4096);
  if cloud_pay_copy_errmsg(PAnsiChar(Result), Length(Result)) <> CLOUDPAY_OK then
    Result := ''
  else
    CutAtNul(Result);
end;

function CloudPayNextTradeNo: UTF8String;
begin
  SetLength(Result, 64);
  if cloud_pay_next_trade_no(PAnsiChar(Result), Length(Result)) <> CLOUDPAY_OK then
    Result := ''
  else
    CutAtNul(Result);
end;

function CloudPayAsk(query: TCloudPayQuery; const req: UTF8String; out answer: UTF8String): Integer;
var
  size: Integer;
begin
  size := FirstBuffer;
  repeat
    SetLength(answer, size);
    Result := query(PAnsiChar(req), PAnsiChar(answer), size);
    size := size * 4;
  until (Result <> CLOUDPAY_BUFFER) or (size > LastBuffer);
  CutAtNul(answer);
end;

function CloudPayWait(const req: UTF8String; timeout_ms: Integer; out order: UTF8String): Integer;
begin
  SetLength(order, FirstBuffer);
  Result := cloud_pay_wait_order(PAnsiChar(req), PAnsiChar(order), Length(order), timeout_ms);
  CutAtNul(order);
end;

end.
