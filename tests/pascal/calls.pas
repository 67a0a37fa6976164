{ Calls every function of CloudPay.pas, and stops where something is not as it should be:

    calls CONF.json NUMBER CODE

  On 32-bit Windows every call must leave the stack where it was: a function called by the wrong
  convention, or with a parameter too many, seems to work, and crashes later. }
program calls;

{$ASMMODE INTEL}

uses
  {$IFDEF UNIX}cthreads, cwstring,{$ENDIF}
  SysUtils, Classes, CloudPay;

const
  Patience = 50000; { ms }

var
  level: Pointer = nil;
  count: Integer = 0;
  heard: PRTLEvent;
  news: UTF8String;

procedure Check(good: Boolean; const what: string);
begin
  if good then
    Exit;
  WriteLn(what, ': ', string(CloudPayMessage));
  Halt(1);
end;

{$IFDEF CPUI386}
function Stack: Pointer; assembler; nostackframe;
asm
  mov eax, esp
end;
{$ELSE}
function Stack: Pointer;
begin
  Result := nil;
end;
{$ENDIF}

{ After each call in a procedure: the stack is as deep as after the first. }
procedure Returned(code: Integer);
begin
  if level = nil then
    level := Stack;
  Inc(count);
  Check(Stack = level, Format('call %d: the stack is not as it was', [count]));
  Check((code <= 0) and (code >= CLOUDPAY_BUFFER), Format('call %d: %d', [count, code]));
end;

procedure OnNews(out_trade_no: PAnsiChar; code: Integer; order: PAnsiChar; user: Pointer);
  {$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF};
begin
  if (code = CLOUDPAY_OK) and (user = @news) and (StrPos(order, out_trade_no) <> nil) then
  begin
    news := out_trade_no;
    RTLEventSetEvent(heard);
  end;
end;

{ Before the library is started: what counts is how they are called. }
procedure CallAll;
var
  buffer: array[0..255] of AnsiChar;
begin
  Returned(cloud_pay_fini());
  Returned(cloud_pay_init('{}'));
  Check(CloudPayMessage <> '', 'no reason');
  Check(StrComp(cloud_pay_get_errmsg(), PAnsiChar(CloudPayMessage)) = 0, 'two reasons');
  Returned(cloud_pay_copy_errmsg(buffer, 255));
  Check(StrLen(cloud_pay_version()) >= 5, 'the version');
  Returned(cloud_pay_query_shop_info('{}', buffer, 255));
  Returned(cloud_pay_query_sub_mch_info('{}', buffer, 255));
  Returned(cloud_pay_order_detail('{}', buffer, 255));
  Returned(cloud_pay_order_stat('{}', buffer, 255));
  Returned(cloud_pay_verify_notify('{}', buffer, 255));
  Returned(cloud_pay_notify_reply(0, nil, buffer, 255));
  Returned(cloud_pay_micro_pay('{}', nil, 0));
  Returned(cloud_pay_scan_code_pay('{}'));
  Returned(cloud_pay_query_order('{}', buffer, 255));
  Returned(cloud_pay_wait_order('{}', buffer, 255, 0));
  Returned(cloud_pay_cancel_order('{}'));
  Returned(cloud_pay_close_order('{}'));
  Returned(cloud_pay_refund('{}'));
  Returned(cloud_pay_query_refund('{}', buffer, 255));
  Returned(cloud_pay_set_callback(nil, nil));
  Returned(cloud_pay_pending_orders(buffer, 255));
  Returned(cloud_pay_next_trade_no(buffer, 255));
  Returned(cloud_pay_security_author_code_prefix(buffer, 255));
  Returned(cloud_pay_security_login('{}', buffer, 255));
  Returned(cloud_pay_security_login_check('{}', buffer, 255));
  Returned(cloud_pay_security_init('{}'));
  Returned(cloud_pay_security_identification('{}', buffer, 255));
  Returned(cloud_pay_security_identification_check('{}', buffer, 255));
end;

var
  conf, goods, number, about, answer: UTF8String;
  stream: TFileStream;
  i: Integer;

begin
  CallAll;
  level := nil;
  stream := TFileStream.Create(ParamStr(1), fmOpenRead);
  SetLength(conf, stream.Size);
  stream.ReadBuffer(conf[1], Length(conf));
  heard := RTLEventCreate;
  number := UTF8String(ParamStr(2));
  about := '{"out_trade_no":"' + number + '"}';
  goods := '';
  for i := 1 to 5990 do
    goods := goods + '\u8336'; { tea }

  Returned(cloud_pay_init(PAnsiChar(conf)));
  Check(Length(CloudPayNextTradeNo) > 16, 'the order number');
  Returned(cloud_pay_set_callback(@OnNews, @news));
  Check(cloud_pay_micro_pay(PAnsiChar(UTF8String('{"out_trade_no":"' + number + '","author_code":"' +
    UTF8String(ParamStr(3)) + '","total_fee":100,"detail":"' + goods + 'the end"}')), nil, 0) = CLOUDPAY_OK, 'micro_pay');
  Check(CloudPayWait(about, Patience, answer) = CLOUDPAY_OK, 'wait_order');
  RTLEventWaitFor(heard, Patience);
  Returned(cloud_pay_set_callback(nil, nil));
  Check(news = number, 'the callback');
  Check(CloudPayAsk(@cloud_pay_query_order, about, answer) = CLOUDPAY_OK, 'query_order');
  { One order is longer than the first buffer. }
  Check(CloudPayAsk(@cloud_pay_order_detail, '{}', answer) = CLOUDPAY_OK, 'order_detail');
  Check((Length(answer) > 16384) and (answer[Length(answer)] = '}'), 'a long answer');
  Returned(cloud_pay_fini());
  WriteLn('all is well');
end.
